import path from 'node:path'
import { errnoOf } from '../lib/errors.ts'
import { ensureFolder, removeIfThere, removeTree, syncFolder } from '../lib/durable-file.ts'
import { readFully, writeFully, type Disk } from '../lib/disk.ts'
import { isEnded, type Job } from './job.ts'
import { PARTS_FILE } from './part-list.ts'
import { isLeftover, outFolder, outFolderPrefix, outputRoot, stateEpoch, type JobPaths } from './paths.ts'
import type { JobSpec } from './spec.ts'
import type { Place } from './stage.ts'

/**
 * The folders that hold a job's work files. Their names end in the job's `house` number. When a
 * job is taken from an owner that cannot be proved dead, the folders are renamed and the open files
 * replaced by copies: the old owner's paths then lead nowhere and its handles reach files that
 * nobody reads, by the thing itself and not by its own belief (R2).
 */
export class House {
  readonly #disk: Disk
  readonly #paths: JobPaths
  readonly #spec: JobSpec

  constructor(disk: Disk, paths: JobPaths, spec: JobSpec) {
    this.#disk = disk
    this.#paths = paths
    this.#spec = spec
  }

  folder(job: Job, place: Place): string {
    if (place === 'side') return this.#paths.side(job.number, job.house)
    const root = outputRoot(this.#spec)
    return root === null ? this.#paths.side(job.number, job.house) : outFolder(root, job)
  }

  /** Path of a work file by its key in the record. */
  file(job: Job, key: string): string {
    return key.startsWith('out/')
      ? path.join(this.folder(job, 'out'), key.slice(4))
      : path.join(this.folder(job, 'side'), key)
  }

  /** Renames both folders to the job's new house number and replaces the open files by their committed bytes. */
  move(job: Job, epoch: number): void {
    const before = { ...job }
    job.house = epoch
    job.moving = false
    for (const place of ['side', 'out'] as const) {
      this.#renameFolder(this.folder(before, place), this.folder(job, place))
    }
    for (const [key, length] of Object.entries(job.files)) this.#copyCommitted(this.file(job, key), length)
  }

  /** Removes what no record names: strays of killed processes, and what was given up before the last commit. */
  sweep(job: Job): void {
    for (const key of job.trash) removeIfThere(this.#disk, this.file(job, key))
    job.trash = []
  }

  /** Side files that no record names: made by a process that was killed before its commit. */
  sweepStrays(job: Job): void {
    for (const file of this.#strays(job)) removeIfThere(this.#disk, file)
  }

  /** Folders under a lower number: made anew by a late owner who did not know yet that they had been moved. */
  sweepOlder(job: Job): void {
    for (const place of ['side', 'out'] as const) {
      const folder = this.folder(job, place)
      const stem = path.basename(folder).replace(/\d+$/, '')
      for (const name of this.#names(path.dirname(folder))) {
        const number = name.startsWith(stem) ? name.slice(stem.length) : ''
        if (!/^\d+$/.test(number) || Number(number) >= job.house) continue
        removeTree(this.#disk, path.join(path.dirname(folder), name))
      }
    }
  }

  #strays(job: Job): string[] {
    const folder = this.folder(job, 'side')
    const known = new Set(usedFiles(job).map((key) => this.file(job, key)))
    return this.#names(folder)
      .map((name) => path.join(folder, name))
      .filter((file) => !known.has(file))
  }

  /** Removes, for good, what an ended job does not keep: what it keeps are the work files it has a use for. */
  clear(job: Job): void {
    const folders = this.#outFolders(job)
    for (const folder of folders) removeTree(this.#disk, folder)
    for (const parent of new Set(folders.map((folder) => path.dirname(folder)))) syncFolder(this.#disk, parent)
    const kept = this.folder(job, 'side')
    if (keepsFiles(job) && this.#names(path.dirname(kept)).includes(path.basename(kept))) {
      this.sweepStrays(job)
      syncFolder(this.#disk, kept)
    }
    for (const name of this.#surplus(job)) removeTree(this.#disk, path.join(this.#paths.job(job.number), name))
    syncFolder(this.#disk, this.#paths.job(job.number))
  }

  /** Whether a job that has ended left behind what it does not keep: its process was killed while clearing up. */
  hasLeftovers(job: Job): boolean {
    const records = this.#names(this.#paths.job(job.number)).filter((name) => stateEpoch(name) !== null)
    if (records.length > 2) return true // its own and the one it continued
    return this.#outFolders(job).length > 0 || this.#surplus(job).length > 0 || this.#strays(job).length > 0
  }

  /** Names in the job's folder that an ended job has no use for. */
  #surplus(job: Job): string[] {
    const kept = keepsFiles(job) ? path.basename(this.folder(job, 'side')) : null
    const { reserve, cancel } = this.#paths
    const marks = new Set([reserve(job.number), cancel(job.number)].map((file) => path.basename(file)))
    return this.#names(this.#paths.job(job.number)).filter(
      (name) =>
        marks.has(name) ||
        isLeftover(name, job.lease.epoch) ||
        (isOurs(name, 'files-', job.lease.epoch) && name !== kept),
    )
  }

  /** The job's folders beside the output, under any house number. */
  #outFolders(job: Job): string[] {
    const root = outputRoot(this.#spec)
    if (root === null) return []
    return this.#readable(root)
      .filter((name) => isOurs(name, outFolderPrefix(job), job.lease.epoch))
      .map((name) => path.join(root, name))
  }

  /** The folder may stand under a newer number already: a move that was killed before its commit, or a late owner's. */
  #renameFolder(from: string, to: string): void {
    if (from === to) return
    const parent = path.dirname(from)
    const stem = path.basename(from).replace(/\d+$/, '')
    for (let attempt = 0; attempt < 100; attempt++) {
      const numbers = this.#names(parent)
        .filter((name) => name.startsWith(stem) && /^\d+$/.test(name.slice(stem.length)))
        .map((name) => Number(name.slice(stem.length)))
      const wanted = Number(path.basename(to).slice(stem.length))
      if (numbers.includes(wanted)) break
      // Never one with a higher number: then we are the late ones.
      const [number] = numbers.filter((n) => n < wanted).toSorted((a, b) => b - a)
      const present = number === undefined ? undefined : `${stem}${number}`
      if (present === undefined) return // never made: nothing was written there
      try {
        this.#disk.rename(path.join(parent, present), to)
        break
      } catch (error) {
        if (errnoOf(error) !== 'ENOENT') throw error
      }
    }
    syncFolder(this.#disk, parent)
  }

  #copyCommitted(file: string, length: number): void {
    const copy = `${file}.moving`
    removeIfThere(this.#disk, copy)
    let from: number
    try {
      from = this.#disk.open(file, 'read')
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return // opening it for work reports the loss
      throw error
    }
    try {
      const to = this.#disk.open(copy, 'create')
      try {
        copyBytes(this.#disk, from, to, length)
        this.#disk.datasync(to)
      } finally {
        this.#disk.close(to)
      }
    } finally {
      this.#disk.close(from)
    }
    this.#disk.rename(copy, file)
    syncFolder(this.#disk, path.dirname(file))
  }

  /** An output that this account may not read holds nothing of its jobs: each of their folders is synced into it first. */
  #readable(root: string): string[] {
    try {
      return this.#names(root)
    } catch (error) {
      if (errnoOf(error) === 'EACCES' || errnoOf(error) === 'EPERM') return []
      throw error
    }
  }

  #names(folder: string): string[] {
    try {
      return this.#disk.readdir(folder).map((name) => name.toString('utf8'))
    } catch (error) {
      const code = errnoOf(error)
      if (code === 'ENOENT' || code === 'ENOTDIR') return []
      throw error
    }
  }
}

/** A house of this epoch or before: whoever is late leaves those of later ones alone. */
/** Work files that a job has a use for: one that ended without a result still knows what became of each participant. */
function usedFiles(job: Job): string[] {
  const keys = Object.keys(job.files)
  return isEnded(job) && job.status !== 'completed' ? keys.filter((key) => key === PARTS_FILE) : keys
}

const keepsFiles = (job: Job): boolean => usedFiles(job).length > 0

function isOurs(name: string, prefix: string, epoch: number): boolean {
  return name.startsWith(prefix) && !(Number(name.slice(prefix.length)) > epoch)
}

function copyBytes(disk: Disk, from: number, to: number, length: number): void {
  const buffer = Buffer.allocUnsafe(1 << 20)
  for (let at = 0; at < length;) {
    const got = readFully(disk, from, buffer, Math.min(buffer.length, length - at), at)
    if (got === 0) return // shorter than recorded: opening it for work reports the loss
    writeFully(disk, to, buffer.subarray(0, got), at)
    at += got
  }
}

/** Makes a place's folder where it is missing, durably. */
export function makeFolder(disk: Disk, folder: string): void {
  ensureFolder(disk, folder)
  syncFolder(disk, path.dirname(folder))
}
