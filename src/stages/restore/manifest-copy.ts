import zlib from 'node:zlib'
import type { ArchiveEntry } from '../../archive/format.ts'
import {
  decodeManifestLine,
  encodeManifestLine,
  isOmission,
  MANIFEST_NAME,
  SEAL_NAME,
  SUMMARY_NAME,
  type ManifestEntry,
} from '../../archive/manifest.ts'
import type { StageContext, Steps } from '../../engine/stage.ts'
import type { AppendFile } from '../../lib/append-file.ts'
import { BackupError } from '../../lib/errors.ts'
import type { OpenArchive } from '../parts.ts'
import { digestFor } from './content-digest.ts'
import { damageOf } from './report.ts'
import type { ManifestCopy } from './slots.ts'

const READ = 1 << 20
/** A few lines, and no more than that. Bytes. */
const LONGEST_SEAL = 64 << 10

/**
 * Unpacks the manifest into a work file, from where it is read in step with the entries. Returns false
 * (and leaves the work file empty) if it is damaged: the entries are then checked by their CRC alone, where the
 * format holds one. Where it does not, the seal proves the manifest, and its lines join those of the manifest.
 */
export async function* copyManifest(
  ctx: StageContext,
  archive: OpenArchive,
  entry: ArchiveEntry,
  copy: ManifestCopy,
  fileName: string,
): Steps<boolean> {
  const file = ctx.file(fileName)
  try {
    const seal = entry.crc === null ? await sealOf(archive, entry) : null
    if (file.length === 0) write(file, seal?.before ?? [])
    for await (const piece of archive.content(entry, { stored: copy.stored, plain: copy.plain })) {
      file.write(piece.bytes)
      copy.crc = zlib.crc32(piece.bytes, copy.crc)
      copy.stored = piece.next.stored
      copy.plain = piece.next.plain
      yield { step: 'reading the manifest', done: copy.plain, total: entry.size }
    }
    if ((entry.crc ?? copy.crc) !== copy.crc) throw damaged('its CRC differs')
    if (copy.plain !== entry.size) throw damaged('it is shorter than announced')
    if (seal !== null) {
      proveManifest(file, entry, seal.own)
      write(file, seal.after)
    }
    return true
  } catch (error) {
    const { message } = damageOf(error)
    file.rewind(0)
    const rest = entry.crc === null ? 'nothing is compared with it' : 'entries are checked by their CRC alone'
    ctx.warn('damaged_entry', `the manifest cannot be read (${message}); ${rest}`)
    yield { step: 'reading the manifest', durable: true }
    return false
  }
}

const damaged = (why: string): BackupError => new BackupError('ARCHIVE_DAMAGED', why)

/** The entry that proves the manifest, right behind it; null if there is none. */
export function sealBehind(archive: OpenArchive, manifest: ArchiveEntry): ArchiveEntry | null {
  for (const entry of archive.entries(manifest.index + 1)) {
    return entry.kind === 'file' && entry.path.toString('latin1') === SEAL_NAME ? entry : null
  }
  return null
}

/** Whether the archive ends with a seal: then it had a manifest as well. */
export function endsWithSeal(archive: OpenArchive): boolean {
  for (const entry of archive.entries(Math.max(0, archive.count - 1))) {
    if (entry.path.toString('latin1') === SEAL_NAME) return true
  }
  return false
}

interface Seal {
  /** Lines of entries that come before all that the manifest lists, and after. */
  readonly before: readonly ManifestEntry[]
  readonly after: readonly ManifestEntry[]
  /** That of the manifest itself. */
  readonly own: ManifestEntry
}

/** Null: there is no seal. ARCHIVE_DAMAGED if it does not name the manifest. */
async function sealOf(archive: OpenArchive, manifest: ArchiveEntry): Promise<Seal | null> {
  const entry = sealBehind(archive, manifest)
  if (entry === null) return null
  const lines = await linesOf(archive, entry)
  const own = lines.find(({ path }) => path.equals(manifest.path))
  if (own === undefined || own.digest === null) throw damaged('its seal does not name it')
  const isLate = ({ path }: ManifestEntry): boolean => [SUMMARY_NAME, MANIFEST_NAME].includes(path.toString('latin1'))
  return { before: lines.filter((line) => !isLate(line)), after: lines.filter(isLate), own }
}

function write(file: AppendFile, lines: readonly ManifestEntry[]): void {
  for (const line of lines) file.write(Buffer.from(`${encodeManifestLine(line)}\n`, 'utf8'))
}

/** Holds the copied manifest, with which the file ends, against its line in the seal. */
function proveManifest(file: AppendFile, manifest: ArchiveEntry, own: ManifestEntry): void {
  const digest = digestFor(own.digest)
  const from = Math.max(0, file.length - manifest.size)
  for (let at = from; at < file.length; at += READ) digest?.update(file.read(at, Math.min(READ, file.length - at)))
  if (digest?.digest() !== own.digest) throw damaged('its digest differs from the seal')
}

async function linesOf(archive: OpenArchive, seal: ArchiveEntry): Promise<ManifestEntry[]> {
  if (seal.size > LONGEST_SEAL) throw damaged('its seal is too long')
  const pieces: Buffer[] = []
  for await (const piece of archive.content(seal)) pieces.push(Buffer.from(piece.bytes))
  const texts = Buffer.concat(pieces).toString('utf8').split('\n')
  return texts.flatMap((text) => {
    if (text === '') return []
    const line = decodeManifestLine(text)
    return isOmission(line) ? [] : [line]
  })
}
