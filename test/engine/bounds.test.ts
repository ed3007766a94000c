import { describe, expect, it } from 'vitest'
import { openArchive } from '../../src/archive/open-archive.ts'
import { DEFAULT_LIMITS } from '../../src/archive/reader.ts'
import { outcome, type JobView, type Part } from '../../src/engine/job.ts'
import type { Disk } from '../../src/lib/disk.ts'
import { leftovers } from '../helpers/bench-check.ts'
import { BenchJob, bootProcess } from '../helpers/bench-job.ts'
import { benchSource } from '../helpers/bench-source.ts'
import { putFile } from '../helpers/disk-tree.ts'
import { FakeClock } from '../helpers/fake-clock.ts'
import { faultDisk, type Call } from '../helpers/fault-disk.ts'
import type { MemoryDisk } from '../helpers/memory-disk.ts'

const OMITTED = process.env['RATCHET_LONG'] === '1' ? 10_001 : 1500
const RECORD = 16 << 10
const PER_STEP = 64 << 10

/** A folder whose path is nearly as long as paths may be; in it a large file and many that may not be read. */
function deepSource(): MemoryDisk {
  const disk = benchSource({ large: 0 })
  let folder = Buffer.from('/source')
  for (let level = 0; level < 15; level++) {
    // Not UTF-8, and so kept in the form that takes most room.
    folder = Buffer.concat([folder, Buffer.from('/'), Buffer.alloc(250, 0xf0 + level)])
    disk.mkdir(folder, 0o755)
  }
  const at = (name: string): Buffer => Buffer.concat([folder, Buffer.from(`/${name}`)])
  putFile(disk, at(`large-${'x'.repeat(200)}`), Buffer.alloc(5 << 20, 'a line of text\n'))
  for (let n = 0; n < OMITTED; n++) putFile(disk, at(`secret-${n}`), 'not to be read')
  return disk
}

/** Sizes of the records written, step by step. */
class Meter {
  readonly steps: number[][] = [[]]
  readonly disk: MemoryDisk
  constructor(disk: MemoryDisk) {
    this.disk = disk
  }
  readonly look = (call: Call): boolean => {
    const from = /^(\S+state-\d+\.json\.[0-9a-f]+\.tmp) → /.exec(call.path)
    if (from?.[1] !== undefined) this.steps.at(-1)?.push(this.disk.lstat(from[1]).size)
    return call.name === 'open' && call.mode === 'read' && call.path.includes('/secret-')
  }
}

/** What the archive says of the backup. */
async function manifestOf(disk: Disk, file: string): Promise<{ parts: Part[] }> {
  using archive = openArchive(disk, file, { limits: DEFAULT_LIMITS, salvage: false })
  const entry = [...archive.entries()].find(({ path }) => path.toString() === 'installation/manifest.json')
  if (entry === undefined) throw new Error('no manifest')
  const text: Uint8Array[] = []
  for await (const { bytes } of archive.content(entry)) text.push(Buffer.from(bytes))
  return JSON.parse(Buffer.concat(text).toString('utf8')) as { parts: Part[] }
}

describe('what grows', () => {
  it(
    'stays out of the record, whatever the number of files, the length of names and of warnings',
    { timeout: 300_000 },
    async () => {
      const source = deepSource()
      const job = new BenchJob(
        {
          clock: new FakeClock({ perLook: 1 }),
          spec: { pacing: { minMs: 0, maxMs: 2000, bias: 100 }, partSize: 65_536 },
        },
        source,
      )
      const meter = new Meter(source)
      const disk = faultDisk(source, {
        counts: meter.look,
        at: 1,
        fault: { kind: 'error', code: 'EACCES', sticky: true },
      })
      await using server = bootProcess(disk, job.clock, 'one')
      let reply: JobView
      do {
        reply = await job.call(server)
        meter.steps.push([])
      } while (reply.status === 'running')
      expect(reply).toMatchObject({ status: 'completed', warnings: { total: OMITTED } })
      expect(reply.parts).toMatchObject([{ name: 'source', omitted: OMITTED }])
      const records = meter.steps.flat()
      expect(records.length).toBeGreaterThan(20)
      expect(Math.max(...records)).toBeLessThanOrEqual(RECORD)
      expect(Math.max(...meter.steps.map((sizes) => sizes.reduce((sum, size) => sum + size, 0)))).toBeLessThanOrEqual(
        PER_STEP,
      )
      // All of them stand in the log, and can be paged through.
      let found = 0
      for (let from = 1; ;) {
        const page = await server.engine.log(1, { from, limit: 777 })
        found += page.lines.filter((line) => line.level === 'warn' && line.message.includes('permission denied')).length
        expect(page.lines.every((line, i) => line.line === from + i)).toBe(true)
        if (page.next === from) break
        from = page.next
      }
      expect(found).toBe(OMITTED)
    },
  )

  it(
    'is the verdict on each of a hundred sources of long names, complete and in order',
    { timeout: 60_000 },
    async () => {
      const disk = benchSource({ large: 0, files: 2 })
      const sources = Array.from({ length: 100 }, (_, n) => {
        const name = `${n}-${'ü'.repeat(n % 3 === 2 ? 120 : 1)}`
        if (n % 3 > 0) disk.mkdir(`/source/${name}`, 0o755)
        if (n % 3 > 0) putFile(disk, `/source/${name}/file`, `of ${n}`)
        return { type: 'directory' as const, path: `/source/${name}`, xattrs: false, critical: false }
      })
      const job = new BenchJob({ slices: 'each', spec: { sources } }, disk)
      const meter = new Meter(disk)
      const metered = faultDisk(disk, { counts: meter.look })
      const ended = await job.drive(metered)
      expect(ended.status).toBe('completed')
      expect(outcome(ended)).toBe('partial')
      expect(Math.max(...meter.steps.flat())).toBeLessThanOrEqual(RECORD)
      await using other = job.boot()
      const parts = await other.engine.parts(1)
      const told = parts.map(({ name, status, files }) => ({ name, status, files }))
      const expected = sources.map(({ path }, n) => ({
        name: path.slice('/source/'.length),
        status: n % 3 > 0 ? 'completed' : 'failed',
        files: n % 3 > 0 ? 1 : 0,
      }))
      expect(told).toEqual(expected)
      expect(ended.parts.length).toBeLessThan(60)
      const { parts: sealed } = await manifestOf(disk, (await other.engine.artifacts(1))[0]?.path ?? '')
      expect(sealed.map(({ name, status, files }) => ({ name, status, files }))).toEqual(expected)
    },
  )

  it('is still known of a job that failed', async () => {
    const disk = benchSource({ large: 0, files: 2 })
    const sources = Array.from({ length: 100 }, (_, n) => ({
      type: 'directory' as const,
      path: n < 99 ? `/source/${n}` : '/source',
      label: `source ${n}`,
      critical: n === 99,
      xattrs: false,
    }))
    const job = new BenchJob({ slices: 'each', spec: { sources } }, disk)
    await using process = job.boot()
    let reply = await job.call(process)
    while (reply.domain === 'init') reply = await job.call(process)
    disk.rename('/source', '/moved')
    while (reply.status === 'running') reply = await job.call(process)
    expect(reply.status).toBe('failed')
    const parts = await process.engine.parts(1)
    expect(parts.map(({ name }) => name)).toEqual(sources.map(({ label }) => label))
    expect(parts.slice(0, 99).every(({ status, error }) => status === 'failed' && error !== null)).toBe(true)
    expect(leftovers(disk, reply)).toEqual([])
  })
})
