import { readFully, type Disk, type FileStat } from '../lib/disk.ts'
import { displayName } from '../lib/entry-path.ts'
import { BackupError, errnoOf } from '../lib/errors.ts'
import { identityOf, sameIdentity, type Identity, type OpenEntry } from './source.ts'

/**
 * Opens a file of the source by a path whose folder is already certain. The type is checked on the
 * handle: between listing and opening anything may have taken the name.
 */
export function openFile(disk: Disk, path: Buffer, shown: Buffer, same?: Identity): OpenEntry {
  let fd: number
  try {
    fd = disk.open(path, 'read')
  } catch (error) {
    const code = errnoOf(error)
    // A link, or a socket or a device without a driver, where a file was listed.
    if (code === 'ELOOP' || code === 'ENXIO' || code === 'ENODEV')
      throw changed(shown, 'is no longer a regular file', error)
    throw error
  }
  try {
    const stat = disk.fstat(fd)
    if (stat.kind !== 'file') throw changed(shown, 'is no longer a regular file')
    const identity = identityOf(stat)
    if (same !== undefined && !sameIdentity(identity, same)) throw changed(shown, 'is not the file that was begun')
    return new OpenFile(disk, fd, stat, shown)
  } catch (error) {
    disk.close(fd)
    throw error
  }
}

class OpenFile implements OpenEntry {
  readonly identity: Identity
  readonly #disk: Disk
  readonly #shown: Buffer
  readonly #linked: boolean
  #fd: number | null

  constructor(disk: Disk, fd: number, stat: FileStat, shown: Buffer) {
    this.#disk = disk
    this.#fd = fd
    this.identity = identityOf(stat)
    this.#linked = stat.nlink > 0
    this.#shown = shown
  }

  read(into: Uint8Array, length: number, position: number): number {
    return readFully(this.#disk, this.#handle(), into, length, position)
  }

  /**
   * By the handle alone: what the path names by now does not matter. A file that was removed or
   * renamed over meanwhile still has its whole content; losing its last name is what moved its ctime.
   */
  prove(): void {
    const now = this.#disk.fstat(this.#handle())
    const identity = identityOf(now)
    if (sameIdentity(identity, this.identity)) return
    const nameless = this.#linked && now.nlink === 0
    if (nameless && sameIdentity({ ...identity, ctimeNs: this.identity.ctimeNs }, this.identity)) return
    throw changed(this.#shown, 'changed while it was read')
  }

  grown(): boolean {
    return this.#disk.fstat(this.#handle()).size > this.identity.size
  }

  close(): void {
    const fd = this.#fd
    this.#fd = null
    if (fd !== null) this.#disk.close(fd)
  }

  #handle(): number {
    if (this.#fd === null) throw new Error(`${displayName(this.#shown)} is closed`)
    return this.#fd
  }
}

function changed(path: Buffer, what: string, cause?: unknown): BackupError {
  const details = cause === undefined ? {} : { cause }
  return new BackupError('SOURCE_CHANGED', `${displayName(path)} ${what}`, details)
}
