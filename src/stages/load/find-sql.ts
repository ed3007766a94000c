import { MANIFEST_NAME, type ManifestEntry } from '../../archive/manifest.ts'
import type { ArchiveEntry } from '../../archive/format.ts'
import type { StageContext, Steps } from '../../engine/stage.ts'
import { BackupError } from '../../lib/errors.ts'
import { displayName } from '../../lib/entry-path.ts'
import { DATABASES } from '../named-databases.ts'
import { readManifest } from '../open-archive.ts'
import type { OpenArchive, Parts } from '../parts.ts'
import { readSmall } from '../restore/contents.ts'
import { ManifestCursor } from '../restore/manifest-cursor.ts'
import { FILES, restoreSlot, type ManifestCopy } from '../restore/slots.ts'
import type { SqlEntry } from './slots.ts'

const LOAD = 'load.sql'
/** Names of a hundred thousand files take a tenth of this. Bytes. */
const LONGEST_ORDER = 64 << 20
/** Entries passed over between two safe points. */
const PASSED = 2000

export type FindSlot = {
  next: number
  /** The last entry of those wanted. */
  last: number
  /** Names of databases that the archive holds as SQL, for whoever asks for another one. */
  there: string[]
  copy: ManifestCopy | null
}

/** Looks which of the wanted databases the archive holds, and takes its manifest. DATABASE_NOT_FOUND. */
export async function* findDatabases(
  ctx: StageContext,
  archive: OpenArchive,
  slot: FindSlot,
  wanted: readonly string[],
): Steps {
  const shared = restoreSlot(ctx)
  let since = 0
  for (const entry of archive.entries(slot.next)) {
    if (entry.kind === 'file') note(shared, slot, entry)
    slot.next = entry.index + 1
    if (++since < PASSED && !ctx.closing) continue
    since = 0
    yield { step: 'looking for databases', done: slot.next, total: archive.count }
  }
  const missing = wanted.find((name) => !slot.there.includes(name))
  if (missing === undefined) return yield* readManifest(ctx, archive, slot)
  throw new BackupError('DATABASE_NOT_FOUND', `the archive holds no database ${JSON.stringify(missing)} of a server`, {
    hint: slot.there.length === 0 ? 'It holds none at all.' : `It holds ${slot.there.slice(0, 20).join(', ')}.`,
  })
}

function note(shared: { manifest: number | null }, slot: FindSlot, { path, index }: ArchiveEntry): void {
  const name = path.toString('utf8')
  if (name === MANIFEST_NAME) shared.manifest = index
  const [folder, database, file, more] = name.split('/')
  if (folder !== DATABASES || database === undefined || file === undefined || more !== undefined) return
  if (!file.endsWith('.sql')) return
  slot.last = index
  if (file === LOAD && slot.there.length < 10_000) slot.there.push(database)
}

interface Found {
  readonly entry: ArchiveEntry
  readonly line: ManifestEntry | null
}

/** The files of one database, in the order that its order file tells (`filesOf`). ARCHIVE_DAMAGED. */
export async function sqlOf(
  ctx: StageContext,
  parts: Parts,
  archive: OpenArchive,
  options: { readonly last: number; readonly database: string; readonly filesOf: (order: string) => string[] },
): Promise<SqlEntry[]> {
  const found = collect(ctx, archive, options.last, `${DATABASES}/${options.database}/`)
  const order = found.get(LOAD)
  if (order === undefined) throw damaged(`the order file of ${options.database} is missing`)
  const text = await orderOf(parts, archive, order)
  return options.filesOf(text).map((name): SqlEntry => {
    const one = found.get(name)
    if (one === undefined) throw damaged(`${DATABASES}/${options.database}/${name} is missing`)
    const { entry, line } = one
    const { index, size } = entry
    return { index, name, size, table: line?.rows?.table ?? null, digest: line?.digest ?? null }
  })
}

/** Entries of a folder by their names, with their lines of the manifest, which is read in step with them. */
function collect(ctx: StageContext, archive: OpenArchive, last: number, folder: string): Map<string, Found> {
  const file = restoreSlot(ctx).manifestReady ? ctx.file(FILES.manifest) : null
  const cursor = new ManifestCursor(file, 0, 0, () => undefined)
  const found = new Map<string, Found>()
  for (const entry of archive.entries()) {
    if (entry.index > last) break
    const line = cursor.lineFor(entry.path)
    const path = entry.path.toString('utf8')
    // The first of a name is the one that counts, as in every restore.
    if (path.startsWith(folder) && !found.has(path.slice(folder.length))) {
      found.set(path.slice(folder.length), { entry, line })
    }
  }
  return found
}

async function orderOf(parts: Parts, archive: OpenArchive, order: Found): Promise<string> {
  if (order.entry.size > LONGEST_ORDER) throw damaged(`${displayName(order.entry.path)} is too long for an order file`)
  const [content] = await readSmall(archive, parts.codec(), [order])
  if (content === undefined) throw new BackupError('INTERNAL', 'the order file was not read')
  if ('fault' in content) throw damaged(`${displayName(order.entry.path)}: ${content.fault.message}`)
  return content.bytes.toString('utf8')
}

const damaged = (what: string): BackupError =>
  new BackupError('ARCHIVE_DAMAGED', what, {
    hint: 'Its SQL can be restored as files, as far as it is there, and loaded by hand.',
  })
