import { z } from 'zod'
import { profileIdSchema, textOf } from '../../engine/profile-schema.ts'

/** Databases of servers, tried out. */

const count = z.number().min(0)
const named = z.strictObject({ kind: z.string(), name: z.string(), why: z.string() })

export const testDatabase = z.strictObject({
  profile: profileIdSchema.default(1),
  database: textOf(255).exactOptional().describe('Name of one of its databases; default: all of them.'),
})

export const databaseTests = z.strictObject({
  databases: z.array(
    z.strictObject({
      name: z.string().describe('Its folder below databases/ in the archive, or its own name.'),
      type: z.enum(['mysql', 'postgresql']),
      ok: z.boolean().describe('A backup of it could be made now.'),
      server: z.string().nullable().describe('What answers, and its version.'),
      consistency: z.enum(['snapshot', 'table']).nullable().describe('What a backup could promise.'),
      tables: count.describe('Tables whose rows would be in it.'),
      rows: count.describe('As the server estimates.'),
      bytes: count.describe('As the server estimates.'),
      keyless: z.array(z.string()).describe('Tables without a key to go on by after an interruption.'),
      exceptions: z.array(named).describe('Tables that are no part of the snapshot.'),
      lacks: z.array(named).describe('What would not be in the backup.'),
      error: z
        .strictObject({ code: z.string(), message: z.string(), hint: z.string() })
        .nullable()
        .describe('Why there would be no backup, and what to change.'),
    }),
  ),
})
