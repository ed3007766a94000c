import type { RatchetClient } from '../../client/client.ts'
import type { Download } from '../../client/types.ts'
import type { ArchiveHandle, BrowsePage, BrowseQuery, Outgoing, Services } from '../../engine/services.ts'
import { nameFromJson, nameToJson } from '../../lib/entry-path.ts'
import { BackupError } from '../../lib/errors.ts'
import { noteLocal } from './local-trail.ts'
import { remoteErrors } from './remote-errors.ts'

/** What is fetched: a part by its name, or a file in the archive. */
export type Fetched = { readonly part: string } | { readonly entry: Buffer }

export interface FetchOptions {
  /** Bytes that are there already, of the part with this SHA-256. */
  readonly from?: number
  readonly sha256?: string
  readonly signal?: AbortSignal
}

/** What backups hold, as commands see it. */
export interface ContentStore {
  browse(archive: ArchiveHandle, query: BrowseQuery): Promise<BrowsePage>
  fetch(number: number, what: Fetched, options: FetchOptions): Promise<Download>
}

/** In this process. */
export function localContents({ archives, engine, audit }: Services): ContentStore {
  return {
    browse: (archive, query) => archives.browse(archive, query),
    async fetch(number, what, { from = 0 }) {
      if ('entry' in what) {
        const entry = await archives.openEntry(number, what.entry)
        noteLocal(audit, 'download', `job:${number} entry`, 'begun')
        return { from: 0, size: entry.size, sha256: null, body: bodyOf(entry) }
      }
      const part = (await engine.artifacts(number)).find(({ name }) => name === what.part)
      if (part === undefined) throw new BackupError('ARCHIVE_NOT_FOUND', `backup ${number} has no part ${what.part}`)
      const outgoing = await archives.openPart(part, from, part.size)
      noteLocal(audit, 'download', `job:${number} part:${part.name}`, 'begun')
      return { from, size: part.size, sha256: part.sha256, body: bodyOf(outgoing) }
    },
  }
}

async function* bodyOf(outgoing: Outgoing): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for (let piece = await outgoing.read(); piece !== null; piece = await outgoing.read()) yield piece
  } finally {
    outgoing.close()
  }
}

/** Behind a server. */
export function remoteContents(client: RatchetClient): ContentStore {
  return {
    browse: (archive, { path, after, recursive, limit }) =>
      remoteErrors(async () => {
        const handle = typeof archive === 'number' ? { backupid: archive } : { archive }
        const from = after === null ? {} : { after: nameToJson(after) }
        const { entries, next } = await client.browseBackup({
          ...handle,
          path: nameToJson(path),
          ...from,
          recursive,
          limit,
        })
        return { entries: entries.map(arrived), next: next === null ? null : nameFromJson(next) }
      }),
    fetch: (number, what, options) =>
      remoteErrors(async () => {
        const target = 'part' in what ? what : { entry: nameToJson(what.entry) }
        const download = await client.download(number, target, options)
        return { ...download, body: mapped(download.body) }
      }),
  }
}

type Arrived = Awaited<ReturnType<RatchetClient['browseBackup']>>['entries'][number]

function arrived({ path, link, mtime, ...rest }: Arrived): BrowsePage['entries'][number] {
  const target = link === undefined ? {} : { link: nameFromJson(link) }
  return { ...rest, path: nameFromJson(path), mtimeMs: mtime, ...target }
}

async function* mapped(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  const pieces = body[Symbol.asyncIterator]()
  try {
    for (;;) {
      const { value, done } = await remoteErrors(() => pieces.next())
      if (done === true) return
      yield value
    }
  } finally {
    await pieces.return?.()
  }
}
