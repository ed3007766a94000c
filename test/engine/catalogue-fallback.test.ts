import fs from 'node:fs'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, expect, test } from 'vitest'
import { openCatalogue, sqliteCatalogue } from '../../src/engine/catalogue.ts'
import { realDisk } from '../../src/lib/disk.ts'
import type { JobView } from '../../src/engine/job.ts'
import { sampleJob, sampleSpec } from '../helpers/sample-job.ts'
import { temporaryFolder } from '../helpers/tree.ts'

const folder = temporaryFolder()
afterAll(() => folder[Symbol.dispose]())

const view = (number: number): JobView =>
  ({ ...sampleJob(sampleSpec()), number, spec: sampleSpec() }) as unknown as JobView

test('where no cache file can be made, lists are kept in memory', () => {
  fs.mkdirSync(path.join(folder.path, 'none'))
  fs.writeFileSync(path.join(folder.path, 'none', 'cache'), 'a file where the folder should be')
  using catalogue = openCatalogue(realDisk, path.join(folder.path, 'none'))
  catalogue.put(view(3))
  expect(catalogue.list({}).jobs.map((job) => job.number)).toEqual([3])
})

test('a cache that can no longer be written fails nothing and forgets nothing', () => {
  const dataDir = path.join(folder.path, 'full')
  using catalogue = openCatalogue(realDisk, dataDir)
  catalogue.put(view(1))
  using other = sqliteCatalogue(realDisk, dataDir)
  expect(other.list({}).total).toBe(1)
  refuseWrites(path.join(dataDir, 'cache', 'jobs.sqlite'))
  catalogue.put(view(2))
  catalogue.remove(1)
  expect(catalogue.list({}).jobs.map((job) => job.number)).toEqual([2])
  expect(other.list({}).jobs.map((job) => job.number)).toEqual([1])
})

/** By a trigger: the error SQLite gives is then the same to whoever calls as that of a full disk. */
function refuseWrites(file: string): void {
  using db = new DatabaseSync(file)
  for (const what of ['INSERT', 'DELETE']) {
    db.exec(
      `CREATE TRIGGER refuse_${what} BEFORE ${what} ON job BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END`,
    )
  }
}
