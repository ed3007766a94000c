import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { createApp } from '../../src/app.ts'
import { isEnded } from '../../src/engine/job.ts'
import { sample } from '../archive/build.ts'
import { contentOf, putFile } from '../helpers/disk-tree.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import { sampleSpec } from '../helpers/sample-job.ts'

const MIB = 1 << 20

test('the digest of a part that a helper takes is that of its file', async () => {
  const disk = new MemoryDisk()
  for (const folder of ['/source', '/out', '/data']) disk.mkdir(folder, 0o755)
  for (let i = 0; i < 6; i++) putFile(disk, `/source/noise-${i}`, sample(5 * MIB + i, 'noise', i))
  await using app = await createApp({ dataDir: '/data', disk, inline: true, threads: 1 })
  const sources = [{ type: 'directory' as const, path: '/source', xattrs: false }]
  let job = await app.engine.start({ kind: 'backup', spec: sampleSpec({ sources, level: 0, partSize: 12 * MIB }) })
  for (let step = 0; step < 50 && !isEnded(job); step++) job = await app.engine.step(job.number)
  expect([job.status, job.error]).toEqual(['completed', null])
  const files = await app.engine.artifacts(job.number)
  expect(files).toHaveLength(3)
  for (const { path, sha256 } of files) {
    expect(createHash('sha256').update(contentOf(disk, path)).digest('hex'), path).toBe(sha256)
  }
})
