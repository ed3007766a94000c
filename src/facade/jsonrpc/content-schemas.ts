import { z } from 'zod'
import { pathSchema, textOf } from '../../engine/profile-schema.ts'
import { handle } from './schemas.ts'

/** Parameters and results of the methods about what backups hold. */

const count = z.int().min(0).max(Number.MAX_SAFE_INTEGER)
const PATH_FORM = '`/`-separated; UTF-8, or "b64:" and base64 where its bytes are none or hold control characters.'
const LONGEST_PATH = 8 * 1024
const entryPath = textOf(LONGEST_PATH)

export const browseBackup = z.strictObject({
  ...handle,
  archive: pathSchema
    .exactOptional()
    .describe("Instead of a backup: the path of an archive's last part below a root for archives."),
  path: entryPath.default('').describe(`Folder whose entries are wanted; empty: the top. ${PATH_FORM}`),
  recursive: z.boolean().default(false).describe("Everything below the folder, in the archive's order."),
  after: entryPath.min(1).exactOptional().describe('Only what comes after this path: `next` of the page before.'),
  limit: z.int().min(1).max(1000).default(200),
})

const entry = z.strictObject({
  path: z.string().describe(PATH_FORM),
  kind: z.enum(['file', 'dir', 'symlink']),
  size: count.describe('Of a file. Bytes.'),
  mode: count.nullable().describe('Full st_mode; null: the archive says nothing about this folder.'),
  mtime: z.number().nullable().describe('Milliseconds since 1970 UTC; null: unknown.'),
  digest: z.string().nullable().describe('sha256:<hex>, or sha256-1m:<hex> over the digests of blocks of 1 MiB.'),
  link: z.string().exactOptional().describe('Where a symlink points to; absent: unknown, or no symlink.'),
})
export const browsePage = z.strictObject({
  entries: z.array(entry),
  next: z
    .string()
    .nullable()
    .describe('To be given as `after` for the next page; null at the end. A page may be shorter than asked.'),
})

export const createDownloadTicket = z.strictObject({
  ...handle,
  part: z
    .union([z.int().min(1).max(1_000_000), textOf(255).min(1)])
    .exactOptional()
    .describe('A part of the archive: its number, counted from 1, or its name.'),
  entry: entryPath.min(1).exactOptional().describe(`A file in the archive. ${PATH_FORM} One of the two is needed.`),
})
export const downloadTicket = z.strictObject({
  url: z.string().describe('To be asked for with GET, on this server, once. No token is needed.'),
  expiresAt: z.number().describe('The download has to begin before. Milliseconds since 1970 UTC.'),
})
