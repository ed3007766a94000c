import { describe, expect, test } from 'vitest'
import { createApp } from '../../src/app.ts'
import { isEnded, type JobView } from '../../src/engine/job.ts'
import { systemClock, type Clock } from '../../src/lib/clock.ts'
import type { Disk } from '../../src/lib/disk.ts'
import { sample } from '../archive/build.ts'
import { contentOf, putFile } from '../helpers/disk-tree.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import { sampleSpec } from '../helpers/sample-job.ts'
import { slowDisk } from '../helpers/slow-disk.ts'

const MIB = 1 << 20
/** The archive's own entries hold the time of the job. */
const CLOCK: Clock = { ...systemClock, wall: () => 1_790_000_000_000 }

function filled(): MemoryDisk {
  const disk = new MemoryDisk()
  for (const folder of ['/source', '/out', '/data']) disk.mkdir(folder, 0o755)
  for (let i = 0; i < 30; i++) putFile(disk, `/source/small-${i}`, sample(200 + 3000 * i, 'text', i))
  for (let i = 0; i < 4; i++) putFile(disk, `/source/image-${i}`, sample(MIB + 100_000 * i, 'noise', 50 + i))
  putFile(disk, '/source/large', sample(5 * MIB + 7, 'noise', 90))
  putFile(disk, '/source/text', sample(5 * MIB + 7, 'text', 91))
  return disk
}

const base = filled()

/** Steps until the job has ended or `enough` says so. */
async function backUp(disk: Disk, [format, partSize]: Kind, enough: () => boolean = () => false): Promise<JobView> {
  await using app = await createApp({ dataDir: '/data', disk, clock: CLOCK, inline: true, threads: 0 })
  const { jobs } = await app.engine.list({})
  const spec = sampleSpec({
    sources: [{ type: 'directory', path: '/source', xattrs: false }],
    level: 1,
    format,
    partSize,
  })
  const known = jobs[0]?.number
  let job = known === undefined ? await app.engine.start({ kind: 'backup', spec }) : await app.engine.get(known)
  for (let step = 0; step < 50 && !isEnded(job) && !enough(); step++) job = await app.engine.step(job.number)
  return job
}

const archiveOn = (disk: MemoryDisk): Buffer[] =>
  disk
    .readdir('/out')
    .map(String)
    .filter((name) => !name.startsWith('.'))
    .toSorted()
    .map((name) => contentOf(disk, `/out/${name}`))

type Kind = readonly [format: 'zip' | 'jpa', partSize: number]
const KINDS: Kind[] = [
  ['zip', 0],
  ['zip', 3_000_000],
  ['jpa', 0],
  ['jpa', 3_000_000],
]

/** All but the summary at the end, which tells when the job was started. */
const content = (parts: Buffer[]): Buffer => Buffer.concat(parts).subarray(0, 8 * MIB)

describe.each(KINDS)('%s in parts of %d bytes, written in the background', (...kind) => {
  test('are whole before they are filled, synced, cut or closed', async () => {
    const plain = base.clone()
    expect((await backUp(plain, kind)).status).toBe('completed')
    const inner = base.clone()
    const slow = slowDisk(inner)
    expect((await backUp(slow.disk, kind)).status).toBe('completed')
    expect(slow.early).toEqual([])
    expect(slow.most).toBeGreaterThanOrEqual(2)
    expect(inner.openDescriptors).toBe(0)
    expect(content(archiveOn(inner)).equals(content(archiveOn(plain)))).toBe(true)
  })

  test('that fail end the step, and the next one makes everything good', async () => {
    const plain = base.clone()
    await backUp(plain, kind)
    for (let fail = 1; fail < 16; fail += 3) {
      const inner = base.clone()
      const slow = slowDisk(inner, { write: fail })
      const underway: number[] = []
      const stopped = await backUp(slow.disk, kind, () => {
        underway.push(slow.now)
        return slow.failed
      })
      // Whoever takes the next step cuts the files and writes to the same places.
      expect(Math.max(...underway)).toBe(0)
      expect([slow.failed, stopped.status], `write ${fail}`).toEqual([true, 'running'])
      expect(slow.early).toEqual([])
      expect((await backUp(slow.disk, kind)).status).toBe('completed')
      expect(content(archiveOn(inner)).equals(content(archiveOn(plain)))).toBe(true)
    }
  })
})
