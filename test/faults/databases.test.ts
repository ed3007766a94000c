import { spawn, type ChildProcess, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import type { Readable } from 'node:stream'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { SqliteDumper } from '../../src/dump/sqlite.ts'
import { isEnded } from '../../src/engine/job.ts'
import type { BackupSpec } from '../../src/engine/spec.ts'
import { BackupError } from '../../src/lib/errors.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { realDisk } from '../../src/lib/disk.ts'
import { faultsOfBank, makeBank, picture, startWriter } from '../dump/database.ts'
import { SpineWorld } from '../engine/spine-world.ts'

/**
 * A copy of a database lives in one process. What becomes of it, and of what it leaves, when that process, or the one
 * that asked for it, is killed, frozen, or runs out of room.
 */
let world: SpineWorld
let file: string
beforeEach(() => {
  world = new SpineWorld()
  file = path.join(world.folder, 'shop', 'shop.db')
  makeBank(file, { ballast: 60_000 })
})
afterEach(() => world[Symbol.asyncDispose]())

const spec = (): BackupSpec =>
  world.spec({
    sources: [],
    type: 'databases',
    databases: [{ type: 'sqlite', path: file }],
    pacing: { minMs: 0, maxMs: 60, bias: 100 },
  })

/** Processes that copy databases, started by `parent`. */
function copiers(parent: number): number[] {
  return fs
    .readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => parentOf(pid) === parent && commandOf(pid).includes('copy-process'))
}

function read(name: string): string {
  try {
    return fs.readFileSync(name, 'latin1')
  } catch {
    return '' // it ended meanwhile
  }
}
const commandOf = (pid: number): string => read(`/proc/${pid}/cmdline`)
const parentOf = (pid: number): number => Number(/^PPid:\s*(\d+)/m.exec(read(`/proc/${pid}/status`))?.[1])
const isAlive = (pid: number): boolean => /^State:\s*[^Z]/m.test(read(`/proc/${pid}/status`))

async function until(what: () => boolean, ms = 20_000): Promise<void> {
  for (const end = systemClock.mono() + ms; !what();) {
    if (systemClock.mono() > end) throw new Error('it did not come about in time')
    await systemClock.sleep(5)
  }
}

/** Copies, whole or not, that lie beside the output. */
function copies(): string[] {
  const all = fs.readdirSync(world.output, { recursive: true }).map(String)
  return all.filter((name) => name.includes('copy-'))
}

async function proven(): Promise<void> {
  const app = await world.app({ data: 'restore' })
  const target = path.join(world.folder, 'restored')
  const archive = path.join(world.output, 'site.zip')
  let job = await app.engine.start({ kind: 'restore', archive, target })
  for (let n = 0; !isEnded(job) && n < 100; n++) job = await app.engine.step(job.number)
  expect([job.status, job.error]).toEqual(['completed', null])
  expect(faultsOfBank(path.join(target, 'databases/shop.db/shop.db'))).toEqual([])
  expect(fs.readdirSync(world.output)).toEqual(['site.zip'])
}

test('the process that copies is killed: the copy begins again, nothing of the first is left', async () => {
  const app = await world.app()
  let job = await app.engine.start({ kind: 'backup', spec: spec() })
  for (let n = 0; n < 50 && copiers(process.pid).length === 0; n++) job = await app.engine.step(job.number)
  const [pid = 0] = copiers(process.pid)
  process.kill(pid, 'SIGKILL')
  const first = copies()
  let swept = false
  for (let n = 0; n < 400 && !isEnded(job); n++) {
    job = await app.engine.step(job.number)
    const now = copies()
    swept = now.length > 0 && !now.some((name) => first.includes(name))
    if (swept) break
  }
  for (let n = 0; n < 400 && !isEnded(job); n++) job = await app.engine.step(job.number)
  expect([job.status, job.error]).toEqual(['completed', null])
  expect(swept).toBe(true)
  expect(job.warnings.recent.map(({ code }) => code)).toEqual(['retry'])
  await proven()
})

/** A process that steps the job until its database is being copied, and then waits to be killed. */
function stepper(maxMs = 60): ChildProcess {
  const entry = new URL('./processes/database-stepper.ts', import.meta.url).pathname
  const order = JSON.stringify({
    dataDir: path.join(world.folder, 'data'),
    spec: { ...spec(), pacing: { minMs: 0, maxMs, bias: 100 } },
  })
  return spawn(process.execPath, ['--no-warnings', entry, order], { stdio: ['ignore', 'pipe', 'ignore'] })
}

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

test('the one that asked is killed: its copier dies with it; after two lost copies the third is taken in one step', async () => {
  for (let round = 1; round <= 2; round++) {
    const child = stepper()
    await once(child.stdout ?? child, 'data')
    const [pid = 0] = copiers(child.pid ?? 0)
    expect(pid).toBeGreaterThan(0)
    await until(() => copies().length > 0)
    await killed(child)
    await until(() => !isAlive(pid))
    expect(copies().length).toBeGreaterThan(0)
  }
  const app = await world.app()
  const job = await app.engine.step(1)
  const warned = job.warnings.recent.map(({ code, message }) => `${code}: ${message}`)
  expect(warned.join()).toMatch(/database: .*lost with its process 2 times; it is now taken in one step/)
  // Complete with this one step of 60 ms, and alone: the two that were lost are gone.
  expect(copies().filter((name) => !name.includes('journal')).length).toBeLessThanOrEqual(1)
  const slots = job.slots['copies'] as Record<string, { name: string | null }> | undefined
  const [slot] = Object.values(slots ?? {})
  expect(slot === undefined || slot.name !== null).toBe(true)
  let last = job
  for (let n = 0; n < 400 && !isEnded(last); n++) last = await app.engine.step(1)
  expect([last.status, last.error]).toEqual(['completed', null])
  await proven()
})

test('the one that asked is frozen, its copier writes on: whoever takes the job over has a copy of its own', async () => {
  const child = stepper(4000)
  await until(() => copies().length > 0)
  process.kill(child.pid ?? 0, 'SIGSTOP')
  const [late] = copies()
  const [pid = 0] = copiers(child.pid ?? 0)
  const app = await world.app({ leaseGraceMs: 500 })
  let job = await app.engine.get(1)
  for (let n = 0; n < 600 && !isEnded(job); n++) {
    job = await app.engine.step(1).catch(async (error: unknown) => {
      if (!(error instanceof BackupError) || error.code !== 'JOB_BUSY') throw error
      await systemClock.sleep(50)
      return app.engine.get(1)
    })
    if (copies().some((name) => path.basename(name) !== path.basename(late ?? ''))) expect(isAlive(pid)).toBe(true)
  }
  expect([job.status, job.error]).toEqual(['completed', null])
  expect(job.warnings.recent.map(({ code }) => code)).toEqual(['taken_over'])
  process.kill(child.pid ?? 0, 'SIGCONT')
  await until(() => !isAlive(pid) || !isAlive(child.pid ?? 0))
  await proven()
  await killed(child)
})

test('a copier that is frozen is given up in time', async () => {
  using dumper = new SqliteDumper(systemClock, { silenceMs: 1500 })
  const { dev, ino } = fs.statSync(file, { bigint: true })
  const dump = dumper.begin({ path: Buffer.from(file), dev, ino, to: path.join(world.output, 'copy.sqlite') })
  await until(() => fs.existsSync(path.join(world.output, 'copy.sqlite')))
  const pid = dumper.pid ?? 0
  process.kill(pid, 'SIGSTOP')
  const wait = async (): Promise<unknown> => {
    for (;;) if ((await dump.wait(100)) !== null) return 'ended'
  }
  await expect(wait()).rejects.toMatchObject({ code: 'TIMED_OUT', retry: 'later' })
  await until(() => !isAlive(pid))
})

test('cancelling ends the copier and clears its copy away', async () => {
  const app = await world.app()
  let job = await app.engine.start({ kind: 'backup', spec: spec() })
  for (let n = 0; n < 50 && copies().length === 0; n++) job = await app.engine.step(job.number)
  const pids = copiers(process.pid)
  expect(pids.length).toBe(1)
  job = await app.engine.cancel(job.number)
  expect(job.status).toBe('cancelled')
  await until(() => pids.every((pid) => !isAlive(pid)))
  expect(fs.readdirSync(world.output)).toEqual([])
})

test('no room for a copy: the job waits, leaves nothing, and goes on when there is', async () => {
  let free = 1 << 20
  const disk = { ...realDisk, free: () => free }
  const app = await world.app({ disk })
  let job = await app.engine.start({ kind: 'backup', spec: spec() })
  for (let n = 0; n < 3; n++) job = await app.engine.step(job.number)
  expect([job.status, job.warnings.recent.at(-1)?.message]).toEqual(['running', expect.stringMatching(/DISK_FULL/)])
  expect(copies()).toEqual([])
  free = Number.MAX_SAFE_INTEGER
  for (let n = 0; n < 400 && !isEnded(job); n++) job = await app.engine.step(job.number)
  expect([job.status, job.error]).toEqual(['completed', null])
  expect(job.warnings.recent.map(({ code }) => code)).not.toContain('database')
  await proven()
})

test('the disk fills while the copy is written: DISK_FULL, and nothing is left of it', async () => {
  const small = path.join(world.folder, 'small')
  const entry = new URL('./processes/small-copy.ts', import.meta.url).pathname
  fs.mkdirSync(small)
  // Files of this shell's programs end at 4 MiB: writing further fails as on a full disk.
  const args = ['-c', 'ulimit -f 4096; exec "$0" --no-warnings "$@"', process.execPath, entry, file, small]
  const child = spawn('/bin/bash', args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const [said] = (await once(child.stdout, 'data')) as [Buffer]
  expect(JSON.parse(said.toString('utf8'))).toMatchObject({ code: 'DISK_FULL', retry: 'later', left: [] })
})

/** Node, bound by the modes of files as everybody is: root too, who may read this program wherever it lies. */
function bound(args: readonly string[]): ChildProcessByStdio<null, Readable, null> {
  const stdio: ['ignore', 'pipe', 'inherit'] = ['ignore', 'pipe', 'inherit']
  if (process.getuid?.() !== 0) return spawn(process.execPath, args, { stdio })
  const without = '--bounding-set=-dac_override,-dac_read_search'
  return spawn('setpriv', [without, process.execPath, ...args], { stdio })
}

test('folders that may not be written, whatever lies in them: copied, or refused by name', async () => {
  const folder = path.join(world.folder, 'closed')
  for (const mode of ['delete', 'wal'] as const) makeBank(path.join(folder, `${mode}.db`), { mode })
  const entry = new URL('./processes/small-copy.ts', import.meta.url).pathname
  const open = path.join(world.folder, 'open')
  fs.mkdirSync(open)
  await using _ = await startWriter(path.join(folder, 'wal.db'), 'wal', 5)
  fs.chmodSync(folder, 0o555)
  fs.chmodSync(path.join(folder, 'delete.db'), 0o444)
  for (const name of ['delete.db', 'wal.db']) {
    const child = bound(['--no-warnings', entry, path.join(folder, name), open])
    const [said] = (await once(child.stdout, 'data')) as [Buffer]
    expect(JSON.parse(said.toString('utf8'))).toMatchObject({ ok: true })
  }
  const secret = path.join(folder, 'secret.db')
  fs.chmodSync(folder, 0o755)
  makeBank(secret)
  fs.chmodSync(secret, 0o000)
  const before = picture(path.dirname(file))
  const child = bound(['--no-warnings', entry, secret, open])
  const [said] = (await once(child.stdout, 'data')) as [Buffer]
  expect(JSON.parse(said.toString('utf8'))).toMatchObject({ ok: false, code: 'SOURCE_UNREADABLE' })
  expect(picture(path.dirname(file))).toEqual(before)
})
