import { readFileIfThere } from '../lib/durable-file.ts'
import type { Disk } from '../lib/disk.ts'
import type { Job } from './job.ts'
import type { JobPaths } from './paths.ts'
import type { PublishedFile } from './published.ts'

/** The work file `artifacts`: a line of JSON for each published file. */
export function parseArtifacts(bytes: Uint8Array): PublishedFile[] {
  const lines = Buffer.from(bytes).toString('utf8').split('\n')
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as PublishedFile)
}

/** The artifacts of a finished job, from its work file. */
export function readArtifacts(disk: Disk, paths: JobPaths, job: Job): PublishedFile[] {
  const length = job.files['artifacts'] ?? 0
  const bytes = readFileIfThere(disk, `${paths.side(job.number, job.house)}/artifacts`)
  return parseArtifacts((bytes ?? Buffer.alloc(0)).subarray(0, length))
}
