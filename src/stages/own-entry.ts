import { asBackupError } from '../lib/errors.ts'
import type { AppendFile } from '../lib/append-file.ts'
import type { FileStat } from '../lib/disk.ts'
import type { Entry, Identity, OpenEntry } from '../source/source.ts'

/** A complete work file as an entry of the archive. It cannot change: nobody else writes it. */
export function ownEntry(work: () => AppendFile, name: string, mark: number, createdAt: number): Entry {
  const file = work()
  const time = BigInt(Math.floor(createdAt / 1000)) * 1_000_000_000n
  const stat: FileStat = {
    kind: 'file',
    dev: 0n,
    ino: BigInt(mark),
    mode: 0o100644,
    nlink: 1,
    uid: 0,
    gid: 0,
    size: file.length,
    blocks: Math.ceil(file.length / 512),
    mtimeNs: time,
    ctimeNs: time,
  }
  const identity: Identity = {
    dev: '0',
    ino: String(mark),
    size: file.length,
    mtimeNs: String(time),
    ctimeNs: String(time),
  }
  return {
    type: 'entry',
    mark: String(mark),
    path: Buffer.from(name, 'utf8'),
    kind: 'file',
    stat,
    open: () => new OpenWorkFile(work, identity),
  }
}

class OpenWorkFile implements OpenEntry {
  readonly identity: Identity
  readonly #work: () => AppendFile

  constructor(work: () => AppendFile, identity: Identity) {
    this.#work = work
    this.identity = identity
  }
  /** An error of our own disk is not one of the source: it must not look like a file that cannot be read. */
  read(into: Uint8Array, length: number, position: number): number {
    const work = this.#work()
    try {
      const bytes = work.read(position, length)
      into.set(bytes)
      return bytes.length
    } catch (error) {
      throw asBackupError(error, `work file ${work.path}`, 'IO_ERROR')
    }
  }
  prove(): void {
    const { length, path } = this.#work()
    if (length !== this.identity.size) throw new Error(`${path} changed while it was packed`)
  }
  grown(): boolean {
    return false
  }
  close(): void {
    // The work file stays open: it belongs to the step.
  }
}
