import type { z } from 'zod'
import type { BrowsedEntry } from '../../engine/services.ts'
import { nameFromJson, nameToJson } from '../../lib/entry-path.ts'
import { BackupError } from '../../lib/errors.ts'
import { pathOf, purposeOf, requirePart, type Wanted } from '../download-target.ts'
import { method } from '../facade.ts'
import * as s from './content-schemas.ts'
import { checkArchive, jobObject, numberOf } from './resolve.ts'

function shown({ path, link, mtimeMs, ...rest }: BrowsedEntry): z.input<typeof s.browsePage>['entries'][number] {
  return { path: nameToJson(path), ...rest, mtime: mtimeMs, ...(link === undefined ? {} : { link: nameToJson(link) }) }
}

/** Exactly one of two. BAD_REQUEST. */
function oneOf<A, B>(a: A | undefined, b: B | undefined, names: string): A | B {
  const [one, other] = [a, b].filter((value) => value !== undefined)
  if (one !== undefined && other === undefined) return one
  const what = one === undefined ? 'is needed' : 'may be given, and no more'
  throw new BackupError('BAD_REQUEST', `invalid parameters: one of ${names} ${what}`)
}

/** What finished backups hold. */
export const contents = {
  browseBackup: method({
    role: 'viewer',
    summary: 'What the archive of a backup holds, folder by folder or all of it, in pages.',
    params: s.browseBackup,
    result: s.browsePage,
    async run(services, { backupid, BackupID, archive, path, recursive, after, limit }, call) {
      const named = oneOf(archive, backupid ?? BackupID, 'backupid, BackupID and archive')
      const ref = { ...(backupid === undefined ? {} : { backupid }), ...(BackupID === undefined ? {} : { BackupID }) }
      const where =
        archive === undefined ? await numberOf(services, ref, call) : await checkArchive(services, named, call)
      const from = after === undefined ? null : nameFromJson(after)
      const query = { path: nameFromJson(path), recursive, after: from, limit }
      const { entries, next } = await services.archives.browse(where, query)
      return { entries: entries.map(shown), next: next === null ? null : nameToJson(next) }
    },
  }),
  createDownloadTicket: method({
    role: 'restorer',
    summary: 'A link that downloads one part of an archive, or one file in it, once and without a token.',
    trail: { event: 'ticket.create', object: (ref) => jobObject(null, ref) },
    params: s.createDownloadTicket,
    result: s.downloadTicket,
    async run(services, { part, entry, ...ref }, call) {
      oneOf(part, entry, 'part and entry')
      const backup = await numberOf(services, ref, call)
      const wanted: Wanted =
        entry === undefined
          ? { backup, part: (await requirePart(services, backup, String(part))).name }
          : { backup, entry: nameFromJson(entry) }
      const { secret, expiresAt } = services.tickets.make(call.session, call.origin, purposeOf(wanted))
      return { url: `${pathOf(wanted)}ticket=${secret}`, expiresAt }
    },
  }),
}
