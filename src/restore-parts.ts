import type { Codec } from './archive/codec.ts'
import { BackupError } from './lib/errors.ts'
import type { Stage } from './engine/stage.ts'
import type { RestoreStageName } from './registry.ts'

export function restoreStages(_dataDir: string, _codec: Codec): Record<RestoreStageName, Stage> {
  const absent = (name: RestoreStageName): Stage => ({
    name,
    domain: 'restore',
    weight: () => 1,
    // eslint-disable-next-line require-yield -- replaced when the restore stages are merged
    async *run() {
      throw new BackupError('INTERNAL', name)
    },
  })
  return {
    'open-archive': absent('open-archive'),
    extract: absent('extract'),
    'finish-restore': absent('finish-restore'),
    'check-archive': absent('check-archive'),
  }
}
