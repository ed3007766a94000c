import { writeFully, type Disk } from '../lib/disk.ts'
import { removeIfThere } from '../lib/durable-file.ts'
import { errnoOf } from '../lib/errors.ts'

/** Not zeros, which some file systems store as nothing. Enough for dozens of entries or changes. */
const FILLED = Buffer.alloc(256 * 1024, 'reserve\n')

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
