import { z } from 'zod'
import {
  overridesSchema,
  pacingSchema,
  pathSchema,
  patternsSchema,
  profileIdSchema,
  profileInputSchema,
  profileSchema,
  textOf,
} from '../../engine/profile-schema.ts'
import { loadRequestSchema } from '../../engine/load-request.ts'
import { ERROR_RULES, type ErrorCode } from '../../lib/errors.ts'
import { LOG_LEVEL_NAMES } from '../../lib/log-level.ts'

/** Parameters and results of every method: they validate, type and describe the wire. */

const STORED_TEXT = 64 * 1024
/** What a list shows of a description: a page of a thousand stays below 4 MiB. Characters. */
export const LISTED_TEXT = 1000
const count = z.int().min(0).max(Number.MAX_SAFE_INTEGER)
const logLevel = z.enum(LOG_LEVEL_NAMES)
const time = z.number().describe('Milliseconds since 1970 UTC.')
const kind = z.enum(['backup', 'restore', 'verify'])
const status = z.enum(['pending', 'running', 'stalled', 'completed', 'failed', 'cancelled', 'timeout'])

const number = z.int().min(1).max(Number.MAX_SAFE_INTEGER)
const id = z
  .string()
  .max(64)
  .regex(/^[A-Za-z0-9_][A-Za-z0-9._-]*$/)

const description = textOf(STORED_TEXT)
  .exactOptional()
  .describe('Shown in lists; default: "Backup taken on <date> <time>".')
const comment = textOf(STORED_TEXT).exactOptional().describe('Longer text, kept with the record.')
const pacing = z
  .strictObject({
    minMs: pacingSchema.shape.minMs.exactOptional(),
    maxMs: pacingSchema.shape.maxMs.exactOptional(),
    bias: pacingSchema.shape.bias.exactOptional(),
  })
  .exactOptional()
  .describe('How long a step takes.')

export const none = z.strictObject({})
export const profileRef = z.strictObject({ id: profileIdSchema })
export const savedProfile = profileInputSchema
export { profileSchema }

export const handle = {
  backupid: z.union([id, number]).exactOptional().describe('The job: its id as replied, or its number.'),
  BackupID: number.exactOptional().describe('The job: its number. One of the two is needed; both must agree.'),
}
export const jobRef = z.strictObject(handle)
export const deleteBackup = z.strictObject({
  ...handle,
  what: z
    .enum(['files', 'record', 'both'])
    .default('both')
    .describe('files: the record stays and says so. record: the files stay where they are.'),
})
export const stepParams = z.strictObject({
  ...handle,
  step: number
    .exactOptional()
    .describe('Number of the awaited reply: one already given is answered again, any other but the next is refused.'),
})

export const startBackup = z.strictObject({
  profile: profileIdSchema.default(1),
  description,
  comment,
  overrides: overridesSchema.exactOptional(),
  tag: textOf(255).exactOptional().describe('Accepted for compatibility and ignored.'),
})

const archive = z
  .union([number, pathSchema])
  .describe("A backup's number, or the path of an archive's last part below a root for archives.")

export const startRestore = z.strictObject({
  archive,
  target: pathSchema
    .exactOptional()
    .describe('Folder to restore files into, below a root for restores; may be left out where databases are put back.'),
  databases: z
    .array(loadRequestSchema)
    .min(1)
    .max(100)
    .exactOptional()
    .describe('Databases to put back into servers of the settings file, in place of restoring their SQL as files.'),
  foreign: z
    .boolean()
    .exactOptional()
    .describe('Run the SQL of an archive named by its path, which may be anybody’s. Needs the role admin.'),
  mode: z
    .enum(['new', 'inplace'])
    .exactOptional()
    .describe('new: target absent or empty. inplace: replace file by file.'),
  patterns: patternsSchema.exactOptional().describe('Only entries that match one of these globs.'),
  salvage: z.boolean().exactOptional().describe('Give back what is intact of a damaged archive.'),
  owners: z.boolean().exactOptional().describe('Set owners as stored. Needs the role admin.'),
  setuid: z.boolean().exactOptional().describe('Keep setuid bits. Needs the role admin.'),
  outsideLinks: z.boolean().exactOptional().describe('Keep links that leave the target. Needs the role admin.'),
  skipInstallation: z.boolean().exactOptional().describe('Leave out our own manifest.'),
  limits: z
    .strictObject({
      ratio: z.number().min(1).max(1e9).exactOptional(),
      entries: number.exactOptional(),
      bytes: number.exactOptional(),
    })
    .exactOptional(),
  dryRun: z
    .boolean()
    .exactOptional()
    .describe('Only find out what the restore would do: nothing is written at the target. getBackupInfo tells.'),
  pacing,
  description,
  comment,
})

export const startVerify = z.strictObject({ archive, pacing, description, comment })

export const listBackups = z.strictObject({
  kind: kind.default('backup'),
  status: status.exactOptional(),
  profile: profileIdSchema.exactOptional(),
  since: time.exactOptional().describe('Only jobs begun at this time or later. Milliseconds since 1970 UTC.'),
  until: time.exactOptional().describe('Only jobs begun before this time. Milliseconds since 1970 UTC.'),
  offset: count.default(0).describe('Newest first.'),
  limit: z.int().min(1).max(1000).default(50),
})

export const getLog = z.strictObject({
  ...handle,
  from: number.default(1).describe('First line wanted, counted from 1.'),
  limit: z.int().min(1).max(1000).default(200),
  level: logLevel.default('debug').describe('Only lines of this level and graver ones.'),
})

export const version = z.strictObject({
  version: z.string(),
  api: z.int().describe('Raised when a method changes incompatibly.'),
  formats: z.array(z.string()),
})

export const stepReply = z
  .strictObject({
    HasRun: z.boolean().describe('More steps are needed.'),
    Domain: z.enum(['init', 'installer', 'db', 'pack', 'finalization', 'restore', 'verify']),
    Step: z.string(),
    Substep: z.string(),
    Error: z.string().describe('Empty unless the job has failed.'),
    Warnings: z.array(z.string()).describe('Those born in this step.'),
    Progress: z.int().min(0).max(100),
    BackupID: number.describe("The job's number."),
    Archive: z.string().describe('Base name of the archive once known, else empty.'),
    sleepTime: count.describe('Wait this long before the next step. Milliseconds.'),
    stepNumber: count,
    stepState: z.enum(['init', 'prepared', 'running', 'postrun', 'finished', 'error']),
    backupid: z.string(),
  })
  .describe('Where the job stands.')

const errorCodes = Object.keys(ERROR_RULES) as [ErrorCode, ...ErrorCode[]]
const errorRecord = z.strictObject({
  code: z.enum(errorCodes),
  message: z.string(),
  hint: z.string(),
  retry: z.enum(['never', 'later']),
  data: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])).exactOptional(),
})

const summary = {
  number,
  id: z.string(),
  kind,
  status,
  outcome: z.string().describe('status, or completed_with_warnings, or partial.'),
  profile: z.int(),
  startedBy: z.string().exactOptional().describe('The user; absent: somebody on the host.'),
  description: z.string(),
  archive: z.string().nullable(),
  files: count,
  bytes: count.describe('Read from the sources.'),
  size: count.describe('Of the finished artifacts.'),
  warnings: count,
  createdAt: time,
  updatedAt: time,
  finishedAt: time.nullable(),
  frozen: z.literal(true).exactOptional().describe('Nobody can delete it until it is unfrozen.'),
  filesRemoved: z
    .strictObject({ at: time, by: z.enum(['user', 'retention']), reason: z.string() })
    .exactOptional()
    .describe('Its files have gone; the record is history.'),
}
const previewed = z.array(
  z.strictObject({
    path: z.string().describe('In the archive, and so below the target.'),
    why: z.string().exactOptional().describe('Why it would not be restored.'),
  }),
)
const preview = z
  .strictObject({
    files: count,
    folders: count,
    links: count,
    bytes: count.describe('Content of the files.'),
    replaced: count.describe('Files and links at the target whose place would be taken.'),
    conflicts: count.describe('Entries that something at the target stands in the way of.'),
    refused: count.describe('Entries that are not restored whatever the target is like.'),
    damaged: count.describe('Entries that do not agree with the manifest. Contents of files are not read.'),
    special: count.describe('Entries whose setuid, setgid or sticky bit would be left out.'),
    need: count.describe('Room that is needed at least. Bytes.'),
    free: count.describe('Room that is free. Bytes.'),
    writable: z.boolean().describe('Whether this account may write into the target.'),
    owners: z.enum(['set', 'not_asked', 'not_permitted']),
    xattrs: z.strictObject({ entries: count, settable: z.boolean() }),
    paths: z
      .strictObject({ replaced: previewed, conflicts: previewed, refused: previewed, damaged: previewed })
      .describe('The first 100 of each.'),
  })
  .describe('What a dry run has found, once it has ended.')

export const jobList = z.strictObject({ total: count, jobs: z.array(z.strictObject(summary)) })

export const backupInfo = z.strictObject({
  ...summary,
  comment: z.string(),
  totals: z.strictObject({
    entries: count,
    files: count,
    bytesRead: count,
    bytesWritten: count,
    filesExpected: count.nullable(),
    bytesExpected: count.nullable(),
  }),
  parts: z.array(
    z.strictObject({
      name: z.string(),
      critical: z.boolean(),
      status: z.enum(['pending', 'running', 'completed', 'failed']),
      files: count,
      bytes: count,
      omitted: count,
      error: z.string().nullable(),
    }),
  ),
  error: errorRecord.nullable(),
  recentWarnings: z.array(z.strictObject({ step: count, code: z.string(), message: z.string() })),
  artifacts: z.array(
    z.strictObject({ name: z.string(), path: z.string().exactOptional(), size: count, sha256: z.string() }),
  ),
  preview: preview.exactOptional(),
  current: stepReply,
})

export const logPage = z.strictObject({
  lines: z.array(
    z.strictObject({
      line: number,
      time,
      level: logLevel,
      message: z.string(),
      step: count.exactOptional(),
      stage: z.string().exactOptional(),
      domain: z.string().exactOptional(),
      code: z.string().exactOptional().describe('Of a warning or an error.'),
      path: z.string().exactOptional().describe('What it is about, where that is one file.'),
      stack: z.string().exactOptional().describe('Of a fault of the program; for admins only.'),
      damaged: z.literal(true).exactOptional().describe('Somebody or something has changed this line.'),
    }),
  ),
  next: number.describe('Ask for this line next. Beyond total: there is none yet.'),
  total: count.describe('Whole lines in the log, of every level.'),
})

export const profileList = z.strictObject({ profiles: z.array(profileSchema) })
export const removed = z.strictObject({ removed: number })
export const openrpcDocument = z.record(z.string(), z.unknown())
