import type { Clock } from '../lib/clock.ts'
import type { Disk, FileStat } from '../lib/disk.ts'
import { errnoOf } from '../lib/errors.ts'
import type { DumpProgress } from './dumper.ts'
import type { CopyLimits } from './messages.ts'

export interface CopyOrder {
  readonly path: Buffer
  readonly dev: bigint
  readonly ino: bigint
  readonly to: string
  readonly limits: CopyLimits
}

export interface CopyWorld {
  readonly disk: Disk
  readonly clock: Clock
  readonly tell: (progress: DumpProgress) => void
}

/** The side file `suffix` of a database. */
export const sideFile = (path: Buffer, suffix: string): Buffer => Buffer.concat([path, Buffer.from(suffix, 'latin1')])

export function statOf(disk: Disk, path: Buffer): FileStat | null {
  try {
    return disk.lstat(path)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw error
  }
}
