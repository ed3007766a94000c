import { expect, it } from 'vitest'
import { House } from '../../src/engine/house.ts'
import { jobPaths } from '../../src/engine/paths.ts'
import { WorkFiles } from '../../src/engine/work-files.ts'
import type { HeldJob } from '../../src/engine/held-job.ts'
import { pathKey } from '../../src/sink/sink-slot.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import { sampleJob, sampleSpec } from '../helpers/sample-job.ts'

it('a step that gives up thousands of work files names few of them in the record', async () => {
  const disk = new MemoryDisk()
  const spec = sampleSpec()
  const job = sampleJob(spec)
  const house = new House(disk, jobPaths('/data'), spec)
  const files = new WorkFiles(disk, { job, check: () => {} } as unknown as HeldJob, house)
  for (let n = 0; n < 1000; n++) {
    files.open(`blocks-${n}`, 'side').write(Buffer.from('x'))
    if (n % 10 === 0) {
      await files.sync()
      files.committed()
    }
    files.drop(`blocks-${n}`, 'side')
  }
  expect(job.trash.length).toBeLessThan(100)
  for (const key of job.trash) expect(Object.keys(job.files)).not.toContain(key)
  expect(disk.readdir(house.folder(job, 'side')).length).toBeLessThan(100)
})

it('a path of any length is known again by a short key', () => {
  const long = Buffer.alloc(16_384, 'a')
  expect(pathKey(long).length).toBeLessThan(100)
  expect(pathKey(long)).not.toBe(pathKey(Buffer.alloc(16_383, 'a')))
  expect(pathKey(Buffer.from('a/b'))).toBe('YS9i')
})
