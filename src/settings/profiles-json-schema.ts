import path from 'node:path'
import { z } from 'zod'
import { storedProfileSchema } from '../engine/profile-schema.ts'
import type { Disk } from '../lib/disk.ts'
import { readFileIfThere, replaceFile } from '../lib/durable-file.ts'
import { errnoOf } from '../lib/errors.ts'

export const PROFILES_FORMAT = 1

/** What `profiles.json` says about where its schema lies, unless somebody has put something else there. */
export const SCHEMA_REFERENCE = './profiles.schema.json'

/** `profiles.json` whole, as an editor is to see it: the store itself checks entry by entry. */
const fileSchema = z.strictObject({
  $schema: z.string().exactOptional(),
  format: z.literal(PROFILES_FORMAT).describe('Version of this file.'),
  next: z.int().min(1).default(1).describe('The next profile gets this number, or a higher one.'),
  profiles: z.array(storedProfileSchema).max(10_000),
})

/** JSON Schema, draft 7: what editors understand. */
export function profilesSchema(): Record<string, unknown> {
  const { $schema, ...schema } = z.toJSONSchema(fileSchema, { target: 'draft-07', io: 'input', reused: 'inline' })
  return { $schema, title: 'Profiles of Ratchet (profiles.json)', ...schema }
}

/** Puts the schema beside `profiles.json`. Only editors want it: where it cannot be written, it is done without. */
export function keepSchema(disk: Disk, folder: string): void {
  const file = path.join(folder, SCHEMA_REFERENCE)
  const bytes = Buffer.from(`${JSON.stringify(profilesSchema(), null, 2)}\n`)
  try {
    if (readFileIfThere(disk, file)?.equals(bytes) !== true) replaceFile(disk, file, bytes)
  } catch (error) {
    if (errnoOf(error) === undefined) throw error
  }
}
