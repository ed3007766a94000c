import type { Disk, FileStat } from '../lib/disk.ts'
import type { Folder, Folders } from './folders.ts'
import { encodeMark, type Phase } from './mark.ts'
import { openFile } from './open-entry.ts'
import type { Entry, Flaw, Identity, Mark, Omission, OpenEntry, Pause } from './source.ts'

export interface EntryParts {
  readonly kind: Entry['kind']
  readonly path: Buffer
  /** Bytes of the label that the path begins with. */
  readonly label: number
  readonly stat: FileStat
  readonly phase: Phase
  /** The folder it was listed in, or the absolute path of what is meant: a source itself, the target of a followed link. */
  readonly place: Folder | Buffer
  /** Target of a link. */
  readonly link?: Buffer
}

/** Millions of these are made: what can be had from the path is not kept beside it. */
export class WalkEntry implements Entry {
  readonly type = 'entry'
  readonly kind: Entry['kind']
  readonly path: Buffer
  readonly stat: FileStat
  declare readonly link?: Buffer
  /** Set for databases. */
  declare prepare?: () => AsyncGenerator<Pause, Entry | Omission, void>
  /** Set for what lies beside databases. */
  declare instead?: () => Omission | null
  declare xattrs?: Readonly<Record<string, string>>
  declare flaw?: Flaw
  readonly #parts: EntryParts
  readonly #disk: Disk
  readonly #folders: Folders

  constructor(disk: Disk, folders: Folders, parts: EntryParts) {
    this.#disk = disk
    this.#folders = folders
    this.#parts = parts
    this.kind = parts.kind
    this.path = parts.path
    this.stat = parts.stat
    if (parts.link !== undefined) this.link = parts.link
  }

  /** The path relative to the source. */
  get below(): Buffer {
    return this.path.subarray(this.#parts.label + 1)
  }

  get mark(): Mark {
    return encodeMark(this.#parts.phase, this.below)
  }

  /** Mark of a note about this entry's metadata, handed over directly before it. */
  get noteMark(): Mark {
    return encodeMark('told', this.below)
  }

  /** The folder it was listed in, or the absolute path of what is meant. */
  get place(): Folder | Buffer {
    return this.#parts.place
  }

  open(same?: Identity): OpenEntry {
    const { place } = this.#parts
    if (Buffer.isBuffer(place)) return openFile(this.#disk, place, this.path, same)
    const name = this.path.subarray(this.path.lastIndexOf(0x2f) + 1)
    return this.#folders.within(place, name, (path) => openFile(this.#disk, path, this.path, same))
  }
}
