import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import type { BackupSpec } from '../../src/engine/spec.ts'
import { restoreScript } from '../../src/installation/script.ts'
import { SpineWorld } from '../engine/spine-world.ts'
import { makeTree, type Tree } from '../helpers/tree.ts'

/** Every Node the script promises to run on that this machine has: ours, and an older one of the system's. */
export const NODES: readonly (readonly [version: string, program: string])[] = findNodes()

function findNodes(): [string, string][] {
  const found = new Map([[process.version, process.execPath]])
  for (const folder of ['/usr/bin', '/usr/local/bin']) {
    const program = path.join(folder, 'node')
    const version = fs.existsSync(program) ? spawnSync(program, ['--version'], { encoding: 'utf8' }).stdout.trim() : ''
    if (Number(/^v(\d+)\./.exec(version)?.[1] ?? 0) >= 20 && !found.has(version)) found.set(version, program)
  }
  return [...found]
}

export interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** An archive made by the program, and its script as it lies in it. */
export class ScriptWorld implements AsyncDisposable {
  readonly spine = new SpineWorld()
  readonly script: string
  archive = ''
  #targets = 0

  constructor(tree?: Tree) {
    this.script = path.join(this.spine.folder, 'restore.mjs')
    fs.writeFileSync(this.script, restoreScript())
    if (tree !== undefined) makeTree(this.spine.source, tree)
  }

  async backup(changes: Partial<BackupSpec> = {}): Promise<string> {
    const job = await this.spine.backup(await this.spine.app(), changes)
    if (job.status !== 'completed') throw new Error(job.error?.message ?? job.status)
    const last = fs.readdirSync(this.spine.output).find((name) => /\.(zip|jpa)$/.test(name))
    this.archive = path.join(this.spine.output, last ?? '')
    return this.archive
  }

  target(): string {
    return path.join(this.spine.folder, `restored-${++this.#targets}`)
  }

  start(args: readonly string[], program: string = process.execPath, env: NodeJS.ProcessEnv = {}): ChildProcess {
    return spawn(program, [this.script, ...args], {
      cwd: this.spine.folder,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  }

  async run(args: readonly string[], program?: string, env?: NodeJS.ProcessEnv): Promise<Ended> {
    const child = this.start(args, program, env)
    let out = ''
    let err = ''
    child.stdout?.on('data', (chunk: Buffer) => (out += chunk.toString()))
    child.stderr?.on('data', (chunk: Buffer) => (err += chunk.toString()))
    const [code] = (await once(child, 'close')) as [number | null]
    return { code, out, err }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.spine[Symbol.asyncDispose]()
  }
}
