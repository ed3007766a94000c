import { jpa } from './archive/jpa.ts'
import { openJpa } from './archive/jpa-reader.ts'
import { zip } from './archive/zip.ts'
import { openZip } from './archive/zip-reader.ts'
import type { Format } from './archive/format.ts'
import type { ArchiveReader, ByteSource } from './archive/reader.ts'
import type { Stage, StageName } from './engine/stage.ts'
import type { BackupParts } from './stages/backup-parts.ts'
import { dbStage } from './stages/db.ts'
import { initStage } from './stages/init.ts'
import { installerStage } from './stages/installer.ts'
import { packStage } from './stages/pack.ts'
import { publishStage } from './stages/publish.ts'
import { retentionStage } from './stages/retention.ts'
import { sealStage } from './stages/seal.ts'
import { verifyStage } from './stages/verify.ts'
import { BackupError } from './lib/errors.ts'

/** What there is, as literal lists. Adding a thing is a file and a line here. */

interface KnownFormat extends Format {
  /** Its reader, over finished parts joined. */
  open(source: ByteSource): ArchiveReader
}

export const FORMATS: Readonly<Record<string, KnownFormat>> = {
  zip: { ...zip, open: openZip },
  jpa: { ...jpa, open: openJpa },
}

/** An unknown name is one error that lists the known ones. */
export function formatNamed(name: string): KnownFormat {
  const found = Object.hasOwn(FORMATS, name) ? FORMATS[name] : undefined
  if (found !== undefined) return found
  throw new BackupError('PROFILE_INVALID', `there is no format "${name}"; known: ${Object.keys(FORMATS).join(', ')}`)
}

export function stagesOf(backup: BackupParts, restore: Record<RestoreStageName, Stage>): Record<StageName, Stage> {
  return {
    init: initStage(backup),
    installer: installerStage(backup),
    db: dbStage(backup),
    pack: packStage(backup),
    seal: sealStage(backup),
    verify: verifyStage(backup),
    publish: publishStage(backup),
    retention: retentionStage(backup),
    ...restore,
  }
}

export type RestoreStageName =
  | 'open-archive'
  | 'extract'
  | 'finish-restore'
  | 'preview-restore'
  | 'check-archive'
  | 'open-load'
  | 'load'
