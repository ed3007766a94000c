import { z } from 'zod'
import { documentOf, importable, importChoiceShape, profileDocumentSchema } from '../../engine/profile-document.ts'
import type { Profile } from '../../engine/services.ts'
import { method, type Method, type Table } from '../facade.ts'
import { profileRef, profileSchema } from './schemas.ts'

const importParams = z.strictObject({ document: profileDocumentSchema, ...importChoiceShape })
const exported = profileDocumentSchema.extend({ profile: profileSchema })

/**
 * Profiles as files. They go in and out by the doors that are there: `get` knows who may see a profile, `save` holds
 * its paths against the roots and notes it in the audit trail.
 */
export function profileDocuments({ get, save }: { get: Method; save: Method }): Table {
  return {
    exportProfile: method({
      role: 'viewer',
      summary: 'A profile as a document, to be kept or imported elsewhere.',
      params: profileRef,
      result: exported,
      async run(services, { id }, call) {
        const { profile, ...envelope } = documentOf((await get.invoke(services, { id }, call)) as Profile)
        return { ...envelope, profile: profileSchema.parse(profile) }
      },
    }),
    importProfile: method({
      role: 'admin',
      summary: 'Saves an exported profile. Its paths must lie below the roots; a number that is taken is an error.',
      params: importParams,
      result: profileSchema,
      async run(services, { document, ...choice }, call) {
        const profile = importable(document, choice, services.profiles)
        return (await save.invoke(services, profile, call)) as Profile
      },
    }),
  }
}
