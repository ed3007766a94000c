import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { PasswordCost } from '../../src/access/password.ts'
import { createApp, type App } from '../../src/app.ts'
import type { JobView } from '../../src/engine/job.ts'
import type { BackupSpec } from '../../src/engine/spec.ts'
import { isEnded } from '../../src/engine/job.ts'
import type { Clock } from '../../src/lib/clock.ts'
import { realDisk, type Disk } from '../../src/lib/disk.ts'
import { sampleSpec } from '../helpers/sample-job.ts'

/** The whole program over real folders, its steps in this thread. */
export class SpineWorld implements AsyncDisposable {
  readonly folder = fs.mkdtempSync(path.join(fs.realpathSync(os.tmpdir()), 'ratchet-spine-'))
  readonly source = path.join(this.folder, 'source')
  readonly output = path.join(this.folder, 'out')
  readonly #apps: App[] = []

  constructor() {
    fs.mkdirSync(this.source)
    fs.mkdirSync(this.output)
    this.file('a.txt', 'alpha')
  }

  file(name: string, content: string | Buffer): string {
    const file = path.join(this.source, name)
    fs.mkdirSync(path.dirname(file), { recursive: true })
    fs.writeFileSync(file, content)
    return file
  }

  async app(
    options: { disk?: Disk; data?: string; leaseGraceMs?: number; passwordCost?: PasswordCost; clock?: Clock } = {},
  ): Promise<App> {
    const dataDir = path.join(this.folder, options.data ?? 'data')
    const { data: _, disk = realDisk, ...rest } = options
    const app = await createApp({ dataDir, disk, inline: true, threads: 0, ...rest })
    this.#apps.push(app)
    return app
  }

  /** As when its process ends in order. */
  async close(app: App): Promise<void> {
    this.#apps.splice(this.#apps.indexOf(app), 1)
    await app[Symbol.asyncDispose]()
  }

  spec(changes: Partial<BackupSpec> = {}): BackupSpec {
    const sources = [{ type: 'directory', path: this.source, xattrs: false } as const]
    return sampleSpec({ sources, output: this.output, pacing: { minMs: 0, maxMs: 5000, bias: 100 }, ...changes })
  }

  /** Starts a backup and steps it to its end. */
  async backup(app: App, changes: Partial<BackupSpec> = {}): Promise<JobView> {
    let job = await app.engine.start({ kind: 'backup', spec: this.spec(changes) })
    for (let n = 0; !isEnded(job) && n < 200; n++) job = await app.engine.step(job.number)
    return job
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const app of this.#apps) await app[Symbol.asyncDispose]()
    fs.rmSync(this.folder, { recursive: true, force: true })
  }
}
