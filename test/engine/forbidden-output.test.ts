import fs from 'node:fs'
import path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { House } from '../../src/engine/house.ts'
import { jobPaths } from '../../src/engine/paths.ts'
import type { StageContext } from '../../src/engine/stage.ts'
import { realDisk, type Disk, type DiskPath } from '../../src/lib/disk.ts'
import type { BackupParts } from '../../src/stages/backup-parts.ts'
import { freeName } from '../../src/stages/init.ts'
import { sweepStaging } from '../../src/stages/restore/staging.ts'
import { systemError } from '../helpers/break-disk.ts'
import { sampleJob, sampleSpec } from '../helpers/sample-job.ts'
import { temporaryFolder } from '../helpers/tree.ts'

const folder = temporaryFolder()
afterAll(() => folder[Symbol.dispose]())
const output = path.join(folder.path, 'out')
const spec = sampleSpec({ output })

function refusing<T>(look: (at: DiskPath) => T): (at: DiskPath) => T {
  return (at) => {
    if (at.toString().startsWith(output)) throw systemError('EACCES')
    return look(at)
  }
}

/** A disk on which this account may look into the output as little as an ordinary one into /root. */
const disk: Disk = { ...realDisk, readdir: refusing(realDisk.readdir), lstat: refusing(realDisk.lstat) }

test('a job ends where its output may not be read: there is nothing of it to clear away', () => {
  const paths = jobPaths(folder.path)
  const job = { ...sampleJob(spec), status: 'failed' as const }
  fs.mkdirSync(paths.side(job.number, job.house), { recursive: true })
  const house = new House(disk, paths, spec)
  house.clear(job)
  expect(house.hasLeftovers(job)).toBe(false)
  sweepStaging(disk, output, job.id)
})

test('a backup into it fails with OUTPUT_UNWRITABLE', () => {
  const ctx = { disk, job: sampleJob(spec), spec } as unknown as StageContext
  const parts = { partName: (_: unknown, base: string) => `${base}.zip` } as unknown as BackupParts
  expect(() => freeName(parts, ctx)).toThrow(expect.objectContaining({ code: 'OUTPUT_UNWRITABLE' }))
})
