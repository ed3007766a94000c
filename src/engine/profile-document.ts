import { z } from 'zod'
import { BackupError } from '../lib/errors.ts'
import { complaintOf, profileIdSchema, profileInputSchema } from './profile-schema.ts'
import type { Profile, Profiles } from './services.ts'

/**
 * A profile on its way from one installation to another, as a file. Passwords are left out of it: `***` stands in
 * their place, and whoever imports it puts them there again.
 */

export const DOCUMENT_FORMAT = 'ratchet-profile'
export const DOCUMENT_VERSION = 1

export const profileDocumentSchema = z
  .strictObject({
    format: z.literal(DOCUMENT_FORMAT),
    version: z.literal(DOCUMENT_VERSION),
    profile: profileInputSchema,
  })
  .describe('An exported profile.')
export type ProfileDocument = z.output<typeof profileDocumentSchema>

/** What to do about the number in the document. */
export interface ImportChoice {
  /** Import under this number, or the next free one, instead of the document's own. */
  as?: number | 'new'
  /** Replace the profile that has the number. */
  replace?: boolean
}

export const importChoiceShape = {
  as: z
    .union([profileIdSchema, z.literal('new')])
    .exactOptional()
    .describe("Number to import it under; new: the next free one; default: the document's own."),
  replace: z.boolean().default(false).describe('Whether a profile that has this number is replaced.'),
}

export const documentOf = (profile: Profile): ProfileDocument => ({
  format: DOCUMENT_FORMAT,
  version: DOCUMENT_VERSION,
  profile,
})

/** What a file holds that may be an exported profile. PROFILE_INVALID names the place; STATE_TOO_NEW. */
export function readDocument(raw: unknown): ProfileDocument {
  const { format, version } = typeof raw === 'object' && raw !== null ? (raw as Record<string, unknown>) : {}
  if (format !== DOCUMENT_FORMAT)
    throw new BackupError('PROFILE_INVALID', `this is no exported profile: its "format" is not "${DOCUMENT_FORMAT}"`, {
      hint: 'Make one with "ratchet profiles export"; a bare profile is taken in with "ratchet profiles save".',
    })
  if (typeof version === 'number' && version > DOCUMENT_VERSION)
    throw new BackupError('STATE_TOO_NEW', `the profile was exported as version ${version}; this release knows 1`, {
      hint: 'Import it with the release that exported it, or a newer one.',
    })
  const parsed = profileDocumentSchema.safeParse(raw)
  if (parsed.success) return parsed.data
  throw new BackupError('PROFILE_INVALID', `the exported profile is not valid: ${complaintOf(parsed.error)}`, {
    cause: parsed.error,
  })
}

/** The profile to be saved. PROFILE_EXISTS where its number is taken and nobody has said what to do about that. */
export function importable(
  { profile }: ProfileDocument,
  { as, replace = false }: ImportChoice,
  profiles: Pick<Profiles, 'get'>,
): ProfileDocument['profile'] {
  const { id: own, ...rest } = profile
  const id = as === 'new' ? undefined : (as ?? own)
  if (id === undefined) return rest
  if (!replace && exists(profiles, id))
    throw new BackupError('PROFILE_EXISTS', `there is a profile ${id}`, { data: { id } })
  return { ...rest, id }
}

function exists(profiles: Pick<Profiles, 'get'>, id: number): boolean {
  try {
    profiles.get(id)
    return true
  } catch (error) {
    if (error instanceof BackupError && error.code === 'PROFILE_NOT_FOUND') return false
    throw error
  }
}
