import type { Disk } from '../lib/disk.ts'
import { readFileIfThere } from '../lib/durable-file.ts'
import { BackupError } from '../lib/errors.ts'
import type { Job } from './job.ts'
import type { JobPaths } from './paths.ts'

/** What the dry run of a restore found. Numbers of things, sizes in bytes. */
export interface PreviewCounts {
  /** What would be written: files, folders (those with an entry of their own), links, and the files' content. */
  files: number
  folders: number
  links: number
  bytes: number
  /** Files and links at the target whose place would be taken. */
  replaced: number
  /** Entries that what is at the target stands in the way of. */
  conflicts: number
  /** Entries that are not restored whatever the target is like: unsafe names, links that lead out of it, … */
  refused: number
  /** Entries that do not agree with the manifest, or are missing. Contents of files are not read: a verification does that. */
  damaged: number
  /** Files and folders whose setuid, setgid or sticky bit would be left out. */
  special: number
  /** Room the restore takes at least, and what is free where it would be taken. */
  need: number
  free: number
  /** Whether this account may write into the target (or into the folder in which it would be made). */
  writable: boolean
  /** Whether owners would be set as stored; `not_permitted`: asked for, and the account is not root. */
  owners: 'set' | 'not_asked' | 'not_permitted'
  /** Files and folders with extended attributes that would be set, and whether the program for it is there. */
  xattrs: { entries: number; settable: boolean }
}

/** What a path was listed for. */
export const FINDINGS = ['replaced', 'conflicts', 'refused', 'damaged'] as const
export type Finding = (typeof FINDINGS)[number]

export interface PreviewedPath {
  /** In the archive, and so below the target; unprintable characters escaped, long ones cut at the front. */
  path: string
  /** Why it would not be restored. */
  why?: string
}

export interface RestorePreview extends PreviewCounts {
  /** The first paths of each kind; the log names all but those replaced. */
  paths: Record<Finding, PreviewedPath[]>
}

/** Paths listed of each kind. */
export const LISTED = 100
/** Work file with one JSON object a line; it stays with the record. */
export const PREVIEW_FILE = 'preview'

export const previewLine = (finding: Finding, { path, why }: PreviewedPath): Buffer =>
  Buffer.from(`${JSON.stringify({ finding, path, ...(why === undefined ? {} : { why }) })}\n`, 'utf8')

/** Null for a job that is no dry run, or has not come to its end. STATE_DAMAGED. */
export function readPreview(disk: Disk, paths: JobPaths, job: Job): RestorePreview | null {
  if (job.status !== 'completed' || job.preview === undefined) return null
  const length = job.files[PREVIEW_FILE] ?? 0
  const file = `${paths.side(job.number, job.house)}/${PREVIEW_FILE}`
  const bytes = length === 0 ? Buffer.alloc(0) : readFileIfThere(disk, file)
  if (bytes === null || bytes.length < length) throw new BackupError('STATE_DAMAGED', `${file} is missing or cut short`)
  const found: RestorePreview['paths'] = { replaced: [], conflicts: [], refused: [], damaged: [] }
  for (const line of bytes.subarray(0, length).toString('utf8').split('\n')) {
    if (line === '') continue
    const { finding, ...path } = JSON.parse(line) as PreviewedPath & { finding: Finding }
    found[finding].push(path)
  }
  return { ...job.preview, paths: found }
}
