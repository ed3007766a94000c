import { writeFully, type Disk } from '../lib/disk.ts'
import { removeIfThere } from '../lib/durable-file.ts'
import { errnoOf } from '../lib/errors.ts'
import type { Revision, Revisions } from '../lib/revisions.ts'

/** Not zeros, which some file systems store as nothing. Enough for dozens of entries or changes. */
const FILLED = Buffer.alloc(32 * 1024, 'reserve\n')

/**
 * Room for small files on a full disk: whoever deletes to make room has to be written down first. A file that is given
 * up when something does not fit, and made again once there is room.
 */
export class Reserve {
  readonly #disk: Disk
  readonly #file: string
  #there = false

  constructor(disk: Disk, file: string) {
    this.#disk = disk
    this.#file = file
  }

  /** Runs `work`, which must be harmless to repeat; a second time, in the room of the reserve, if the disk is full. */
  spend<T>(work: () => T): T {
    try {
      return work()
    } catch (error) {
      if (!isDiskFull(error) || !this.#giveUp()) throw error
      return work()
    }
  }

  /** The same for a new revision, which cannot be put twice: the first time it may have counted, and only not been sure to last. */
  put(revisions: Revisions, before: Revision | null, value: unknown): Revision | null {
    let tries = 0
    const put = this.spend(() => {
      tries++
      return revisions.put(before, value)
    })
    if (put !== null || tries === 1) return put
    const found = revisions.read()
    return JSON.stringify(found?.value) === JSON.stringify(value) ? found : null
  }

  /** Makes the reserve where there is none; on a full disk there will be none. */
  keep(): void {
    if (this.#there) return
    try {
      this.#make()
      this.#there = true
    } catch (error) {
      if (errnoOf(error) === undefined) throw error
      this.#there = errnoOf(error) === 'EEXIST'
    }
  }

  #make(): void {
    const fd = this.#disk.open(this.#file, 'create')
    try {
      writeFully(this.#disk, fd, FILLED, 0)
      this.#disk.datasync(fd)
    } catch (error) {
      removeIfThere(this.#disk, this.#file)
      throw error
    } finally {
      this.#disk.close(fd)
    }
  }

  #giveUp(): boolean {
    this.#there = false
    try {
      this.#disk.unlink(this.#file)
      return true
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return false
      throw error
    }
  }
}

const isDiskFull = (error: unknown): boolean => errnoOf(error) === 'ENOSPC' || errnoOf(error) === 'EDQUOT'
