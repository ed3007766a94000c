import type { Located } from './content.ts'
import { readBlock, toEntry as toJpaEntry } from './jpa-entity.ts'
import { SIG_ARCHIVE } from './jpa-records.ts'
import { MANIFEST_NAME, SEAL_NAME } from './manifest.ts'
import type { ByteSource } from './reader.ts'
import { findEnd } from './zip-end.ts'
import { centralLength, decodeCentral, toEntry as toZipEntry } from './zip-entry.ts'
import { dataStart } from './zip-local.ts'
import { CENTRAL_SIZE, SIG_CENTRAL } from './zip-records.ts'

/**
 * Finding the manifest of an archive of ours without going through its entries: it is the last one, or (JPA) the last
 * but the seal. What else the archive holds is not looked at, let alone proven.
 */

const NAME = Buffer.from(MANIFEST_NAME, 'utf8')
const SEAL = Buffer.from(SEAL_NAME, 'utf8')
/** Room for the last record of a directory: its name is short, and we write few extra fields. Bytes. */
const LAST_RECORD = 1024
/** A description block up to its path. Bytes. */
const BEFORE_PATH = 7
const WINDOW = 1 << 20
/** Farther from a JPA archive's end it is not looked for. Bytes. */
const FARTHEST = 2 ** 30

/** The manifest's entry, or null where it is not in its place. ARCHIVE_DAMAGED if the end of the archive contradicts itself. */
export function findManifest(source: ByteSource): Located | null {
  return source.read(0, SIG_ARCHIVE.length).equals(SIG_ARCHIVE) ? inJpa(source) : inZip(source)
}

function inZip(source: ByteSource): Located | null {
  const end = findEnd(source)
  const length = Math.min(end.end - end.start, LAST_RECORD)
  const tail = source.read(end.end - length, length)
  const at = tail.lastIndexOf(NAME) - CENTRAL_SIZE
  if (at < 0 || tail.readUInt32LE(at) !== SIG_CENTRAL || centralLength(tail, at) !== length - at) return null
  const record = decodeCentral(tail, at)
  const base = source.partOffsets[record.disk]
  if (base === undefined || !record.name.equals(NAME)) return null
  const entry = toZipEntry(record, end.count - 1, base + record.offset + end.shift, end.start)
  if (entry.refused !== undefined || entry.kind !== 'file') return null
  return { source, entry, start: dataStart(source, entry) }
}

/** Backwards: its data, and only that and the seal lie behind its header. */
function inJpa(source: ByteSource): Located | null {
  for (let to = source.size; to > 0 && source.size - to < FARTHEST; to -= WINDOW) {
    const from = Math.max(0, to - WINDOW)
    const bytes = source.read(from, to - from + NAME.length)
    for (let hit = bytes.lastIndexOf(NAME); hit >= 0; hit = hit === 0 ? -1 : bytes.lastIndexOf(NAME, hit - 1)) {
      const found = jpaAt(source, from + hit - BEFORE_PATH)
      if (found !== null) return found
    }
  }
  return null
}

function jpaAt(source: ByteSource, position: number): Located | null {
  if (position < 0) return null
  const block = readBlock(source, position)
  if (typeof block === 'string' || !block.path.equals(NAME)) return null
  const start = position + block.length
  const behind = start + block.stored
  const seal = behind < source.size ? readBlock(source, behind) : ''
  if (typeof seal === 'string' || !seal.path.equals(SEAL)) return null
  if (behind + seal.length + seal.stored !== source.size) return null
  const entry = toJpaEntry(block, 0, position)
  return entry.refused === undefined && entry.kind === 'file' ? { source, entry, start } : null
}
