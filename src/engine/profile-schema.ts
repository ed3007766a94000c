import { z } from 'zod'
import { defined } from '../lib/defined.ts'
import { databaseSchema, storedDatabaseSchema } from './database-schema.ts'
import { componentSchema, oneLine, pathSchema, textOf, whole } from './schema-words.ts'
import { DEFAULT_PACING } from './spec.ts'
import type { Profile, ProfileOverrides } from './services.ts'
import type { BackupType, Deflate, DirectorySource, Pacing, RetentionPolicy } from './spec.ts'

/**
 * The shape of a profile, once: the store checks files written by people with it, the faces check
 * requests and describe themselves with it. Unknown keys are refused everywhere.
 */

export { pathSchema, textOf }

export const patternsSchema = z.array(textOf(4096).min(1)).max(1000)

const since1970 = z.number().min(0).max(Number.MAX_SAFE_INTEGER)

export const pacingSchema = z
  .strictObject({
    minMs: whole(0, 300_000).describe('A step takes at least this long; the rest is told as sleepTime. Milliseconds.'),
    maxMs: whole(1, 3_600_000).describe('A step answers within this. Milliseconds.'),
    bias: whole(10, 100).describe('Share of maxMs that is used. Per cent.'),
  })
  .describe('How long a step takes.') satisfies z.ZodType<Pacing>

export const directorySourceSchema = z.strictObject({
  type: z.literal('directory'),
  path: pathSchema.describe('The folder. Absolute.'),
  label: componentSchema
    .exactOptional()
    .describe('First path component in the archive; default: base name of the path.'),
  critical: z.boolean().exactOptional().describe('Whether its failure fails the run.'),
  include: patternsSchema.exactOptional().describe('Only files that match one of these globs.'),
  exclude: patternsSchema.exactOptional().describe('Neither what matches nor what is below it.'),
  excludeFolders: patternsSchema.exactOptional().describe('Folders (relative paths) left out whole.'),
  excludeFiles: patternsSchema.exactOptional().describe('Files (relative paths) left out.'),
  excludeContent: patternsSchema.exactOptional().describe('Folders kept without their content.'),
  excludeExtensions: patternsSchema.exactOptional().describe('Extensions left out: no dot, case-insensitive.'),
  maxSize: whole(0, Number.MAX_SAFE_INTEGER).exactOptional().describe('Larger files are left out. Bytes.'),
  olderThan: since1970
    .exactOptional()
    .describe('Files last modified before this are left out. Milliseconds since 1970.'),
  newerThan: since1970.exactOptional().describe('Only files modified since. Milliseconds since 1970.'),
  symlinks: z.enum(['store', 'follow']).exactOptional().describe('Links as links (default), or what they point to.'),
  oneFileSystem: z.boolean().exactOptional().describe('Stay on the file system of the folder (default true).'),
  xattrs: z.boolean().exactOptional().describe('Keep extended attributes and ACLs (default true).'),
  databases: z
    .enum(['copy', 'raw'])
    .exactOptional()
    .describe('SQLite databases found: copied through SQLite (default), or as any file.'),
}) satisfies z.ZodType<DirectorySource>

const sourcesSchema = z.array(directorySourceSchema).max(100).describe('What is backed up.')

const databasesOf = <T extends z.ZodType>(schema: T): z.ZodArray<T> =>
  z.array(schema).max(100).describe('Databases copied by their own engine while in use.')
const databasesSchema = databasesOf(databaseSchema)
const typeSchema = z
  .enum(['full', 'files', 'databases'])
  .describe('What the backup holds: all, only the sources, or only the databases.') satisfies z.ZodType<BackupType>

const archiveSchema = oneLine(200)
  .min(1)
  .refine((s) => !/[/\\]/.test(s) && !s.startsWith('.'), 'must be a file name that does not begin with a dot')
  .describe('Name template of the archive: [host], [date], [time], [profile], [number] are replaced.')

const formatSchema = z.enum(['zip', 'jpa'])
const outputSchema = pathSchema.describe('Folder for the archive. Absolute.')
const partSizeSchema = z
  .union([z.literal(0), whole(65_536, Number.MAX_SAFE_INTEGER)])
  .describe('Bytes per part, at least 65536; 0: a single file.')
const levelSchema = whole(0, 9).describe('Deflate level 1–9; 0: stored.')
const deflateSchema = z
  .union([z.enum(['auto', 'always']), whole(0, Number.MAX_SAFE_INTEGER)])
  .describe(
    'Files that are deflated: all it pays for, in JPA up to 10 MiB (auto, the default); those above as well (always); or up to so many bytes.',
  ) satisfies z.ZodType<Deflate>

const keepSchema = (what: string): z.ZodExactOptional<z.ZodInt> =>
  whole(1, 1_000_000).exactOptional().describe(`Keep ${what}.`)

export const retentionSchema = z
  .strictObject({
    keepLast: keepSchema('so many of the newest'),
    keepHourly: keepSchema('one of each of the newest so many hours that have any'),
    keepDaily: keepSchema('one of each of so many days (UTC)'),
    keepWeekly: keepSchema('one of each of so many weeks (ISO, UTC)'),
    keepMonthly: keepSchema('one of each of so many months'),
    keepYearly: keepSchema('one of each of so many years'),
    keepWithinDays: whole(1, 100_000)
      .exactOptional()
      .describe('Keep all that are not older than this, counted back from the last complete backup.'),
    maxBytes: whole(1, Number.MAX_SAFE_INTEGER)
      .exactOptional()
      .describe('The oldest go until what stays fits. Frozen ones are not counted. Bytes.'),
  })
  .describe(
    'Which older backups stay after each run; the files of the others are removed. {}: all.',
  ) satisfies z.ZodType<RetentionPolicy>

const settings = {
  sources: sourcesSchema,
  databases: databasesSchema.default([]),
  type: typeSchema.default('full'),
  output: outputSchema,
  format: formatSchema,
  archive: archiveSchema,
  partSize: partSizeSchema,
  level: levelSchema,
  deflate: deflateSchema.exactOptional(),
  retention: retentionSchema.exactOptional(),
}

export const profileIdSchema = whole(1, 1_000_000_000).describe('Number of the profile.')

/** A profile as it is shown. */
export const profileSchema = z.strictObject({
  id: profileIdSchema,
  name: oneLine(255).min(1).describe('For people.'),
  ...settings,
  pacing: pacingSchema,
}) satisfies z.ZodType<Profile>

/** A profile as it is kept. */
export const storedProfileSchema = profileSchema.extend({ databases: databasesOf(storedDatabaseSchema).default([]) })
export type StoredProfile = z.output<typeof storedProfileSchema>

export const DEFAULT_ARCHIVE = '[host]-[profile]-[date]-[time]-[number]'

/** A profile as it is saved: what is absent gets its default, a missing id the next free one. */
export const profileInputSchema = z.strictObject({
  id: profileIdSchema.exactOptional(),
  name: oneLine(255).min(1).describe('For people.'),
  sources: sourcesSchema.default([]),
  databases: databasesSchema.default([]),
  type: typeSchema.default('full'),
  output: outputSchema,
  format: formatSchema.default('zip'),
  archive: archiveSchema.default(DEFAULT_ARCHIVE),
  partSize: partSizeSchema.default(0),
  level: levelSchema.default(6),
  deflate: deflateSchema.exactOptional(),
  retention: retentionSchema.exactOptional(),
  pacing: pacingSchema
    .partial()
    .default({})
    .transform((p): Pacing => ({ ...DEFAULT_PACING, ...defined(p) })),
})

/** What a single run may change. */
export const overridesSchema = z
  .strictObject({
    sources: sourcesSchema.exactOptional(),
    databases: databasesSchema.exactOptional(),
    type: typeSchema.exactOptional(),
    output: outputSchema.exactOptional(),
    format: formatSchema.exactOptional(),
    archive: archiveSchema.exactOptional(),
    partSize: partSizeSchema.exactOptional(),
    level: levelSchema.exactOptional(),
    deflate: deflateSchema.exactOptional(),
    retention: retentionSchema.exactOptional(),
    pacing: z
      .strictObject({
        minMs: pacingSchema.shape.minMs.exactOptional(),
        maxMs: pacingSchema.shape.maxMs.exactOptional(),
        bias: pacingSchema.shape.bias.exactOptional(),
      })
      .exactOptional(),
  })
  .describe('Keys of the profile, for this run only.') satisfies z.ZodType<ProfileOverrides>

/** Rest of a schema's complaint for people: `sources.0.path: must be an absolute path`. At most five, at most 500 characters. */
export function complaintOf(error: z.ZodError): string {
  const lines = error.issues.slice(0, 5).map((issue) => {
    const where = issue.path.map(String).join('.').slice(0, 100)
    const what = issue.message.replace(/^Invalid input: expected (.+), received undefined$/, 'is missing (expected $1)')
    return where === '' ? what : `${where}: ${what}`
  })
  const more = error.issues.length > 5 ? ` (and ${error.issues.length - 5} more)` : ''
  const text = lines.join('; ')
  return (text.length > 480 ? `${text.slice(0, 480)}…` : text) + more
}
