import { filesGone, type ArtifactInfo, type Purpose, type Services } from '../engine/services.ts'
import { nameToJson } from '../lib/entry-path.ts'
import { BackupError } from '../lib/errors.ts'

/** What a download is of: a published part, by its name, or a file in the archive. */
export type Wanted =
  | { readonly backup: number; readonly part: string }
  | { readonly backup: number; readonly entry: Buffer }

/** Names of parts are never this: they have an ending. */
export const ENTRY = 'entry'

/** Address on this server, ready for more of a query. */
export function pathOf(wanted: Wanted): string {
  const base = `/download/${wanted.backup}/`
  return 'part' in wanted
    ? `${base}${encodeURIComponent(wanted.part)}?`
    : `${base}${ENTRY}?path=${encodeURIComponent(nameToJson(wanted.entry))}&`
}

/** What a ticket for it is good for. */
export function purposeOf(wanted: Wanted): Purpose {
  return 'part' in wanted
    ? `GET job:${wanted.backup}/part:${wanted.part}`
    : `GET job:${wanted.backup}/entry:${wanted.entry.toString('base64')}`
}

/** A published part by its name, or its number counted from 1. ARCHIVE_NOT_FOUND. */
export async function requirePart({ engine }: Services, backup: number, named: string): Promise<ArtifactInfo> {
  const parts = await engine.artifacts(backup)
  const numbered = /^[1-9]\d{0,6}$/.test(named) ? parts[Number(named) - 1] : undefined
  const found = parts.find(({ name }) => name === named) ?? numbered
  if (found !== undefined) return found
  const { standing } = await engine.get(backup)
  if (standing?.filesRemoved !== undefined) throw filesGone(backup, standing.filesRemoved)
  throw new BackupError('ARCHIVE_NOT_FOUND', `backup ${backup} has no such part`, {
    hint: 'Ask for the backup to see its parts; one that has not completed has none.',
  })
}
