import type { Disk, FileStat } from '../lib/disk.ts'
import { errnoOf } from '../lib/errors.ts'

export interface Target {
  /** Absolute, without links. */
  readonly real: Buffer
  readonly stat: FileStat
}

/** Following links, for sources that ask for it. */
export class Follow {
  readonly #disk: Disk
  readonly #allows: (real: Buffer) => boolean

  /** `allows`: whether a target may be backed up at all; a link to any other is stored as a link. */
  constructor(disk: Disk, allows: (real: Buffer) => boolean) {
    this.#disk = disk
    this.#allows = allows
  }

  /** Where a link leads, or null where it is to be stored as the link it is: it dangles, loops, or leads out of bounds. */
  target(link: Buffer): Target | null {
    try {
      const real = this.#disk.realpath(link)
      return this.#allows(real) ? { real, stat: this.#disk.lstat(real) } : null
    } catch (error) {
      if (errnoOf(error) === undefined) throw error
      return null
    }
  }

  /** Whether `outer` is `inner` or a folder above it: following a link there would walk the source again. */
  holds(outer: Buffer, inner: Buffer): boolean {
    if (outer.length === 1 || outer.equals(inner)) return true
    return inner.length > outer.length && inner[outer.length] === 0x2f && inner.subarray(0, outer.length).equals(outer)
  }
}
