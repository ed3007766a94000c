import { createHash } from 'node:crypto'
import path from 'node:path'
import { Fates, type Fate } from '../../src/engine/fate.ts'
import type { JobStatus } from '../../src/engine/job.ts'
import { hashOf } from '../../src/engine/job-reader.ts'
import { jobId, newJob } from '../../src/engine/new-job.ts'
import { jobPaths } from '../../src/engine/paths.ts'
import { PLANS } from '../../src/engine/plans.ts'
import { encodeRecord } from '../../src/engine/record.ts'
import type { JobSpec } from '../../src/engine/spec.ts'
import type { Disk } from '../../src/lib/disk.ts'
import { ensureFolder } from '../../src/lib/durable-file.ts'
import { errnoOf } from '../../src/lib/errors.ts'
import { putFile } from './disk-tree.ts'
import { FakeClock } from './fake-clock.ts'
import { sampleSpec } from './sample-job.ts'

/** A job that ended before the test began, written down without being run. */
export interface Older {
  readonly number: number
  readonly time: number
  readonly profile?: number
  readonly status?: JobStatus
  /** Contents of the published files; default: one that names the job. */
  readonly files?: readonly string[]
  /** One of its parts failed. */
  readonly partial?: true
  /** Instead of a backup's. */
  readonly spec?: JobSpec
}

export interface Folders {
  readonly data: string
  readonly out: string
}

const MEMORY: Folders = { data: '/data', out: '/out' }

export const olderFile = (number: number, index = 0, { out }: Folders = MEMORY): string =>
  path.join(out, `older-${number}${index === 0 ? '' : `-${index}`}.zip`)

export function putOlder(disk: Disk, older: Older, folders: Folders = MEMORY): void {
  const { number, time, status = 'completed', files = [`backup ${number}`] } = older
  const paths = jobPaths(folders.data)
  const spec = older.spec ?? sampleSpec({ profile: older.profile ?? 1, output: folders.out })
  const text = JSON.stringify(spec)
  for (const folder of [paths.jobs, paths.job(number), paths.side(number, 1), folders.out]) makeFolder(disk, folder)
  putFile(disk, paths.spec(number), text)
  const backup = spec.kind === 'backup' && status === 'completed'
  const lines = backup ? files.map((content, index) => publish(disk, olderFile(number, index, folders), content)) : []
  const list = lines.map((line) => `${line}\n`).join('')
  if (backup) putFile(disk, `${paths.side(number, 1)}/artifacts`, list)
  const job = newJob(number, time, spec, hashOf(text), PLANS[spec.kind], null)
  const bytes = files.reduce((sum, content) => sum + Buffer.byteLength(content), 0)
  const part = { name: 'a', critical: false, status: 'failed', files: 0, bytes: 0, omitted: 0, error: 'lost' } as const
  const record = {
    ...job,
    id: jobId(number, time),
    salt: '',
    status,
    finishedAt: status === 'running' ? null : time,
    ...(backup ? { files: { artifacts: Buffer.byteLength(list) }, artifacts: { count: files.length, bytes } } : {}),
    ...(older.partial ? { parts: [part] } : {}),
  }
  putFile(disk, paths.state(number, 1), encodeRecord(record))
}

/** Not durable: whoever writes thousands settles the disk once. */
function makeFolder(disk: Disk, folder: string): void {
  try {
    disk.mkdir(folder, 0o700)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return ensureFolder(disk, folder)
    if (errnoOf(error) !== 'EEXIST') throw error
  }
}

/** A verification of an archive that has not ended, or has. */
export function putReader(disk: Disk, number: number, archive: string, time: number, status: JobStatus): void {
  const { profile, description, comment, pacing } = sampleSpec()
  const spec = { kind: 'verify' as const, profile, description, comment, pacing, archive, expected: [] }
  putOlder(disk, { number, time, spec, status })
}

function publish(disk: Disk, file: string, content: string): string {
  putFile(disk, file, content)
  const sha256 = createHash('sha256').update(content).digest('hex')
  const ino = String(disk.lstat(file).ino)
  return JSON.stringify({ name: path.basename(file), path: file, size: Buffer.byteLength(content), sha256, ino })
}

/** The same content under the same name, in another file. */
export function copyAgain(disk: Disk, file: string, content: string): void {
  disk.unlink(file)
  putFile(disk, `${file}.other`, 'takes the inode')
  putFile(disk, file, content)
  disk.unlink(`${file}.other`)
}

export function fatesOf(disk: Disk, { data }: Folders = MEMORY): Fates {
  return new Fates(disk, new FakeClock(), jobPaths(data))
}

export const stateOf = (disk: Disk, number: number, folders: Folders = MEMORY): Fate['state'] =>
  fatesOf(disk, folders).of(number).state

export function isFile(disk: Disk, file: string): boolean {
  try {
    return disk.lstat(file).kind === 'file'
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
    return false
  }
}
