import { describe, expect, it } from 'vitest'
import type { JobView } from '../../src/engine/job.ts'
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
})
