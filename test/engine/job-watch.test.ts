import fs from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { realDisk, type Disk } from '../../src/lib/disk.ts'
import { SpineWorld } from './spine-world.ts'

/** Lists see at once what other processes do, and read the folder of jobs only when it has changed. */

test('jobs that another process starts, ends and removes', async () => {
  await using world = new SpineWorld()
  const [here, there] = [await world.app(), await world.app()]
  const list = async (): Promise<string[]> =>
    (await here.engine.list()).jobs.map((job) => `${job.number} ${job.status}`)
  expect(await list()).toEqual([])
  const { number } = await there.engine.start({
    kind: 'backup',
    spec: world.spec({ pacing: { minMs: 0, maxMs: 1, bias: 100 } }),
  })
  expect(await list()).toEqual([`${number} running`])
  await there.engine.cancel(number)
  expect(await list()).toEqual([`${number} cancelled`])
  const other = await world.backup(there)
  expect(await list()).toEqual([`${other.number} completed`, `${number} cancelled`])
  await there.engine.remove(number)
  expect(await list()).toEqual([`${other.number} completed`])
})

test('an unchanged folder is not read again; one that changed just now is', async () => {
  await using world = new SpineWorld()
  const jobs = path.join(world.folder, 'data', 'jobs')
  let reads = 0
  const disk: Disk = {
    ...realDisk,
    readdir(folder) {
      if (folder === jobs) reads++
      return realDisk.readdir(folder)
    },
  }
  const app = await world.app({ disk })
  await world.backup(app)
  const readsOf = async (times: number): Promise<number> => {
    reads = 0
    for (let n = 0; n < times; n++) expect((await app.engine.list()).total).toBe(1)
    return reads
  }
  expect(await readsOf(3)).toBe(3) // within the granularity of its time, another one may have come
  fs.utimesSync(jobs, 1_700_000_000, 1_700_000_000)
  expect(await readsOf(5)).toBe(1)
  fs.mkdirSync(path.join(jobs, '77'))
  expect(await readsOf(2)).toBe(2)
})
