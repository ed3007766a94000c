import path from 'node:path'
import { openArchive } from './archive/open-archive.ts'
import type { Codec } from './archive/codec.ts'
import type { Stage } from './engine/stage.ts'
import { realDisk } from './lib/disk.ts'
import { GroupSync } from './lib/group-sync.ts'
import type { Redactor } from './lib/redact.ts'
import { runProgram } from './lib/program.ts'
import type { RestoreStageName } from './registry.ts'
import { Keys } from './settings/keys.ts'
import { findProgram } from './source/getfattr.ts'
import { checkArchiveStage } from './stages/check-archive.ts'
import { extractStage } from './stages/extract.ts'
import { finishRestoreStage } from './stages/finish-restore.ts'
import { loadStage } from './stages/load.ts'
import { openLoadStage } from './stages/open-load.ts'
import { openArchiveStage } from './stages/open-archive.ts'
import type { Parts } from './stages/parts.ts'
import { previewRestoreStage } from './stages/preview-restore.ts'

/** Where the program itself lies: a restore never writes there (S-RES-7). */
const PROGRAM = path.dirname(import.meta.dirname)

export function restoreStages(dataDir: string, codec: Codec, redactor: Redactor): Record<RestoreStageName, Stage> {
  const sync = findProgram(realDisk, 'sync')
  const together = sync === null ? null : new GroupSync(sync)
  const parts: Parts = {
    openArchive,
    codec: () => codec,
    ownPlaces: () => [dataDir, PROGRAM, ...new Keys(realDisk, dataDir, process.env).files],
    setfattr: findProgram(realDisk, 'setfattr'),
    run: runProgram,
    flush: together === null ? null : (folder) => together.flush(folder),
    openLoad: async (spec, load) => (await import('./open-dump.ts')).openSqlLoad(dataDir, spec, load, redactor),
    root: process.geteuid?.() === 0,
  }
  return {
    'open-archive': openArchiveStage(parts),
    extract: extractStage(parts),
    'finish-restore': finishRestoreStage(parts),
    'preview-restore': previewRestoreStage(parts),
    'check-archive': checkArchiveStage(parts),
    'open-load': openLoadStage(parts),
    load: loadStage(parts),
  }
}
