import path from 'node:path'
import type { StageContext } from '../../engine/stage.ts'
import { ensureFolder, syncFolder } from '../../lib/durable-file.ts'
import { asBackupError, BackupError, errnoOf } from '../../lib/errors.ts'
import type { Disk, FileStat } from '../../lib/disk.ts'
import { placeOf, samePlace } from './handles.ts'
import { restoreSpec, type Place } from './slots.ts'

/**
 * Where a restore may write. `new`: absent or empty. `inplace`: an existing folder. Never through a
 * link, never into, around or onto a place of the engine's own (S-RES-7).
 */
export function checkTarget(ctx: StageContext, own: readonly string[]): void {
  const { target, mode } = restoreSpec(ctx)
  if (!path.isAbsolute(target) || target.includes('\0')) {
    throw new BackupError('BAD_REQUEST', `the target must be an absolute path: ${target}`)
  }
  const present = statIfThere(ctx.disk, target)
  refuseOwnPlaces(ctx.disk, target, own)
  if (present === null) return
  if (present.kind === 'symlink') throw taken(target, 'is a symbolic link; name the folder itself')
  if (present.kind !== 'dir') throw taken(target, 'is not a folder')
  if (mode === 'new' && strangers(ctx, target) > 0) throw taken(target, 'is not empty')
}

/** What lies in the target that this job has not put there (a killed attempt may have made the staging folder). */
function strangers(ctx: StageContext, target: string): number {
  const ours = stagingPrefix(ctx.job.id)
  try {
    return ctx.disk.readdir(target).filter((name) => !name.toString('latin1').startsWith(ours)).length
  } catch (error) {
    throw asBackupError(error, `the target ${target} cannot be read`, 'TARGET_UNWRITABLE')
  }
}

/** The target as it is, or null where it is missing. */
export function presentTarget(ctx: StageContext): Place | null {
  const stat = statIfThere(ctx.disk, restoreSpec(ctx).target)
  return stat === null ? null : placeOf(stat)
}

/** The target, or else the folder above it in which it would be made. TARGET_UNWRITABLE if there is none. */
export function nearestFolder(disk: Disk, target: string): string {
  for (let at = target; ; at = path.dirname(at)) {
    const stat = followIfThere(disk, at)
    if (stat?.kind === 'dir') return at
    if (stat !== null || path.dirname(at) === at) {
      throw new BackupError('TARGET_UNWRITABLE', `the target ${target} cannot be made: ${at} is not a folder`)
    }
  }
}

/** Folders in a target that belong to a job all begin so. */
export const stagingPrefix = (jobId: string): string => `.ratchet-${jobId}-`

/** Makes the target where it is missing, and says which folder it is. */
export function makeTarget(ctx: StageContext): Place {
  const { disk } = ctx
  const { target } = restoreSpec(ctx)
  try {
    ensureFolder(disk, target)
    syncFolder(disk, path.dirname(target))
    return placeOf(disk.lstat(target))
  } catch (error) {
    throw asBackupError(error, `the target ${target} cannot be made`, 'TARGET_UNWRITABLE')
  }
}

function refuseOwnPlaces(disk: Disk, target: string, own: readonly string[]): void {
  const above = placesAbove(disk, target)
  const targetPlace = statIfThere(disk, target)
  for (const place of own) {
    const stat = statIfThere(disk, place)
    if (stat === null) continue
    const inside = above.some((known) => samePlace(known, placeOf(stat)))
    const around =
      targetPlace !== null && placesAbove(disk, place).some((known) => samePlace(known, placeOf(targetPlace)))
    if (inside || around) {
      throw new BackupError(
        'FORBIDDEN',
        `${target} ${inside ? 'lies in' : 'contains'} ${place}, which the engine needs`,
        {
          hint: 'Choose a target outside the data folder and the program.',
        },
      )
    }
  }
}

/** The folder itself and all above it, as things: a bind mount or a link changes names only. */
function placesAbove(disk: Disk, folder: string): Place[] {
  const found: Place[] = []
  let at = folder
  for (;;) {
    const stat = followIfThere(disk, at)
    if (stat !== null) {
      at = disk.realpath(at).toString('utf8')
      found.push(placeOf(stat))
    }
    const parent = path.dirname(at)
    if (parent === at) return found
    at = parent
  }
}

function statIfThere(disk: Disk, at: string): FileStat | null {
  return ifThere(() => disk.lstat(at))
}
function followIfThere(disk: Disk, at: string): FileStat | null {
  return ifThere(() => disk.stat(at))
}
function ifThere(look: () => FileStat): FileStat | null {
  try {
    return look()
  } catch (error) {
    const code = errnoOf(error)
    if (code === 'ENOENT' || code === 'ENOTDIR') return null
    throw asBackupError(error, 'the target cannot be looked at', 'TARGET_UNWRITABLE')
  }
}

function taken(target: string, what: string): BackupError {
  return new BackupError('TARGET_EXISTS', `${target} ${what}`)
}
