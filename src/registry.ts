import { zip } from './archive/zip.ts'
import type { Format } from './archive/format.ts'
import type { Stage, StageName } from './engine/stage.ts'
import type { BackupParts } from './stages/backup-parts.ts'
import { initStage } from './stages/init.ts'
import { packStage } from './stages/pack.ts'
import { publishStage } from './stages/publish.ts'
import { sealStage } from './stages/seal.ts'
import { verifyStage } from './stages/verify.ts'
import { BackupError } from './lib/errors.ts'

/** What there is, as literal lists. Adding a thing is a file and a line here. */

export const FORMATS: Readonly<Record<string, Format>> = { zip }

/** An unknown name is one error that lists the known ones. */
export function formatNamed(name: string): Format {
  const found = Object.hasOwn(FORMATS, name) ? FORMATS[name] : undefined
  if (found !== undefined) return found
  throw new BackupError('PROFILE_INVALID', `there is no format "${name}"; known: ${Object.keys(FORMATS).join(', ')}`)
}

export function stagesOf(backup: BackupParts, restore: Record<RestoreStageName, Stage>): Record<StageName, Stage> {
  return {
    init: initStage(backup),
    pack: packStage(backup),
    seal: sealStage(backup),
    verify: verifyStage(backup),
    publish: publishStage(backup),
    ...restore,
  }
}

export type RestoreStageName = 'open-archive' | 'extract' | 'finish-restore' | 'check-archive'
