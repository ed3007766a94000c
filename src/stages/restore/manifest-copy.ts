import zlib from 'node:zlib'
import type { ArchiveEntry } from '../../archive/format.ts'
import type { StageContext, Steps } from '../../engine/stage.ts'
import { BackupError } from '../../lib/errors.ts'
import type { OpenArchive } from '../parts.ts'
import { damageOf } from './report.ts'
import type { ManifestCopy } from './slots.ts'

/**
 * Unpacks the manifest into a work file, from where it is read in step with the entries. Returns false
 * (and leaves the work file empty) if it is damaged: the entries are then checked by their CRC alone.
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
    for await (const piece of archive.content(entry, { stored: copy.stored, plain: copy.plain })) {
      file.write(piece.bytes)
      copy.crc = zlib.crc32(piece.bytes, copy.crc)
      copy.stored = piece.next.stored
      copy.plain = piece.next.plain
      yield { step: 'reading the manifest', done: copy.plain, total: entry.size }
    }
    if (copy.crc === entry.crc && copy.plain === entry.size) return true
    throw new BackupError('ARCHIVE_DAMAGED', 'its CRC differs')
  } catch (error) {
    const { message } = damageOf(error)
    file.rewind(0)
    ctx.warn('damaged_entry', `the manifest cannot be read (${message}); entries are checked by their CRC alone`)
    yield { step: 'reading the manifest', durable: true }
    return false
  }
}
