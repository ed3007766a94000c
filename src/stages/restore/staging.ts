import path from 'node:path'
import type { StageContext } from '../../engine/stage.ts'
import { asBackupError, BackupError, errnoOf } from '../../lib/errors.ts'
import { removeTree, syncFolder } from '../../lib/durable-file.ts'
import type { Disk } from '../../lib/disk.ts'
import { type Folder, openInside, orClose, placeOf, samePlace } from './handles.ts'
import type { Place, RestoreSlot } from './slots.ts'
import { stagingPrefix } from './target.ts'

/**
 * `<target>/.ratchet-<job>-<house>-new`: new files grow there under numbers, 0700, on the target's own
 * file system. Another house (the old owner may still be alive) has a folder of its own.
 */
export const stagingName = (ctx: StageContext): string => `${stagingPrefix(ctx.job.id)}${ctx.job.house}-new`

/** Makes the folder, new: what was planted under its name is refused, what a killed attempt left is made again. */
export function makeStaging(ctx: StageContext, target: string): Place & { house: number } {
  const { disk } = ctx
  const at = path.join(target, stagingName(ctx))
  try {
    removeEmpty(disk, at)
    disk.mkdir(at, 0o700)
    syncFolder(disk, target)
    return { ...placeOf(disk.lstat(at)), house: ctx.job.house }
  } catch (error) {
    throw asBackupError(error, `no work folder can be made in ${target}`, 'TARGET_UNWRITABLE')
  }
}

function removeEmpty(disk: Disk, at: string): void {
  try {
    disk.rmdir(at)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
  }
}

/** Opens the staging folder that the slot names and proves that it is that one. */
export function openStaging(ctx: StageContext, root: Folder, slot: RestoreSlot): Staging {
  const { staging } = slot
  if (staging === null) throw new BackupError('INTERNAL', 'the restore has no staging folder')
  const name = stagingName(ctx)
  let folder: Folder
  try {
    folder = openInside(ctx.disk, root, Buffer.from(name))
  } catch (error) {
    throw asBackupError(error, `the work folder ${name} in the target is gone`, 'WORK_FILE_LOST')
  }
  orClose(ctx.disk, folder.fd, () => {
    if (samePlace(placeOf(ctx.disk.fstat(folder.fd)), staging)) return
    throw new BackupError('WORK_FILE_LOST', `the work folder ${name} in the target was replaced by another`)
  })
  return new Staging(ctx.disk, folder)
}

/** New files before they get their names. */
export class Staging implements Disposable {
  readonly folder: Folder
  readonly #disk: Disk
  #next = 0

  constructor(disk: Disk, folder: Folder) {
    this.#disk = disk
    this.folder = folder
  }

  /** Removes what earlier attempts left, except the file that goes on. */
  sweep(keep: string | null): void {
    for (const name of this.#disk.readdir(this.folder.child('.'))) {
      if (name.toString('latin1') !== keep) this.#disk.unlink(this.folder.child(name))
    }
  }

  create(): { name: string; fd: number } {
    const name = `n${this.#next++}`
    return { name, fd: this.#disk.open(this.folder.child(name), 'create') }
  }

  path(name: string): Buffer {
    return this.folder.child(name)
  }

  remove(name: string): void {
    try {
      this.#disk.unlink(this.folder.child(name))
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error
    }
  }

  [Symbol.dispose](): void {
    this.#disk.close(this.folder.fd)
  }
}

/** Removes every staging folder of a job from its target, also those of earlier houses. */
export function sweepStaging(disk: Disk, target: string, jobId: string): void {
  const prefix = stagingPrefix(jobId)
  let names: Buffer[]
  try {
    names = disk.readdir(target)
  } catch (error) {
    // What this account may not read was refused as a target: there is nothing of ours in it.
    if (['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM'].includes(errnoOf(error) ?? '')) return
    throw error
  }
  for (const name of names) {
    if (name.toString('latin1').startsWith(prefix)) removeTree(disk, Buffer.concat([Buffer.from(`${target}/`), name]))
  }
}
