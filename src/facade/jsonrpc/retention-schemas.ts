import { z } from 'zod'
import { profileIdSchema, retentionSchema } from '../../engine/profile-schema.ts'
import type { KeptBy, RemovedFor } from '../../engine/services.ts'
import { handle } from './schemas.ts'

/** Parameters and results of what decides about finished backups. */

const count = z.int().min(0).max(Number.MAX_SAFE_INTEGER)
const amount = z.strictObject({ count, bytes: count })

const KEPT_BY = {
  last: 'keepLast',
  hourly: 'keepHourly',
  daily: 'keepDaily',
  weekly: 'keepWeekly',
  monthly: 'keepMonthly',
  yearly: 'keepYearly',
  within: 'keepWithinDays',
  newest: 'the newest complete backup always stays',
  current: 'the backup that has just been made',
  frozen: 'it is frozen',
  unruled: 'the policy lets nothing go by number or age',
  clock: 'it would go if the clock could be right',
  unreadable: 'it would go if all records could be read',
} satisfies Record<KeptBy, string>
const REMOVED_FOR = {
  superseded: 'no rule keeps it',
  size: 'all that stays would exceed maxBytes',
  begun: 'its removal was cut short',
} satisfies Record<RemovedFor, string>

const reasons = { ...KEPT_BY, ...REMOVED_FOR }
const words = Object.keys(reasons) as [KeptBy | RemovedFor, ...(KeptBy | RemovedFor)[]]
const legend = Object.entries(reasons)
  .map(([word, meaning]) => `${word}: ${meaning}`)
  .join('; ')

export const freezeBackup = z.strictObject({
  ...handle,
  frozen: z.boolean().default(true).describe('false: it may be deleted again. Needs the role admin.'),
})
export const frozen = z.strictObject({ number: z.int().min(1), frozen: z.boolean() })

export const previewRetention = z.strictObject({
  profile: profileIdSchema.default(1),
  policy: retentionSchema.exactOptional().describe('To be tried out instead of the one of the profile.'),
  offset: count.default(0).describe('Newest first.'),
  limit: z.int().min(1).max(10_000).default(1000),
})

export const retentionPreview = z.strictObject({
  refused: z.string().nullable().describe('Why nothing would go at all.'),
  total: count.describe('Backups of the profile whose files are there.'),
  backups: z.array(
    z.strictObject({
      number: z.int().min(1),
      time: z.number().describe('When it was begun. Milliseconds since 1970 UTC.'),
      bytes: count,
      complete: z.boolean().describe('No part of it failed.'),
      keep: z.boolean(),
      reasons: z.array(z.enum(words)).describe(legend),
    }),
  ),
  totals: z
    .strictObject({ kept: amount, removed: amount, frozen: amount })
    .describe('Of all of them. kept holds the frozen ones, too.'),
})
