import type { Disk, FileStat } from '../lib/disk.ts'
import { encodeMark, type Phase } from './mark.ts'
import { openFile } from './open-entry.ts'
import type { Folder, Folders } from './folders.ts'
import type { Entry, Identity, Mark, OpenEntry } from './source.ts'

/** Where a file's content is reached: a name below a folder, or the target of a followed link. */
export type Content = { readonly folder: Folder; readonly name: Buffer } | { readonly real: Buffer }

export interface EntryParts {
  readonly kind: Entry['kind']
  readonly path: Buffer
  /** The path relative to the source. */
  readonly below: Buffer
  readonly stat: FileStat
  readonly phase: Phase
  readonly content: Content
  /** Absolute path for other programs; null where it is too long for them. */
  readonly access: Buffer | null
}

export class WalkEntry implements Entry {
  readonly type = 'entry'
  readonly kind: Entry['kind']
  readonly path: Buffer
  readonly stat: FileStat
  readonly access: Buffer | null
  declare readonly link?: Buffer
  declare xattrs?: Readonly<Record<string, string>>
  /** The path relative to the source. */
  readonly below: Buffer
  readonly #phase: Phase
  readonly #content: Content
  readonly #disk: Disk
  readonly #folders: Folders

  constructor(disk: Disk, folders: Folders, parts: EntryParts, link?: Buffer) {
    this.#disk = disk
    this.#folders = folders
    this.kind = parts.kind
    this.path = parts.path
    this.stat = parts.stat
    this.access = parts.access
    this.below = parts.below
    this.#phase = parts.phase
    this.#content = parts.content
    if (link !== undefined) this.link = link
  }

  get mark(): Mark {
    return encodeMark(this.#phase, this.below)
  }

  /** Mark of a note about this entry's metadata, handed over directly before it. */
  get noteMark(): Mark {
    return encodeMark('told', this.below)
  }

  open(same?: Identity): OpenEntry {
    if ('real' in this.#content) return openFile(this.#disk, this.#content.real, this.path, same)
    const { folder, name } = this.#content
    return this.#folders.within(folder, name, (path) => openFile(this.#disk, path, this.path, same))
  }
}
