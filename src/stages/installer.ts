import { README_NAME, SCRIPT_NAME } from '../archive/manifest.ts'
import type { Stage } from '../engine/stage.ts'
import type { BackupParts } from './backup-parts.ts'
import { backupSpec } from './init.ts'
import { packOwn } from './own-entry.ts'

/** What brings the archive back without this program, as its first entries. */
export const installerStage = (parts: BackupParts): Stage => ({
  name: 'installer',
  domain: 'installer',
  weight: () => 1,
  async *run(ctx) {
    const texts = [
      { file: 'script', name: SCRIPT_NAME, text: () => parts.restoreScript() },
      { file: 'readme', name: README_NAME, text: () => parts.restoreReadme(backupSpec(ctx).format) },
    ]
    yield* packOwn(ctx, parts.openSink(ctx), { key: 'installer', texts, sealed: !parts.holdsCrc(ctx) })
  },
})
