import type { DirectorySource } from '../engine/spec.ts'
import type { Disk } from '../lib/disk.ts'
import { compileFilter, type Filter } from '../lib/filter.ts'
import type { DatabaseCopier } from './databases.ts'
import { Follow } from './follow.ts'
import { Folders } from './folders.ts'
import { findAttributeTools, type AttributeTools } from './getfattr.ts'
import type { ListStore } from './list-store.ts'
import { decodeMark, encodeMark, type Position } from './mark.ts'
import type { Mark, Omission, Source, SourceItem } from './source.ts'
import { Walk, type Place, type WalkItem } from './walk.ts'
import { withXattrs } from './xattr.ts'

export type { Place }

export type LabelledDirectory = DirectorySource & { label: string }

export interface DirectoryEnv {
  readonly disk: Disk
  /** The engine's own places, found by device and inode wherever they appear: data, output, work folders. */
  readonly own: readonly Place[]
  /** Where listings of large folders are kept; null: in memory. */
  readonly list: ListStore | null
  /** Aborted: the walk throws the signal's reason. */
  readonly signal: AbortSignal
  readonly log: (level: 'debug' | 'info' | 'warn', message: string) => void
  /** Whether a followed link may lead to this real path; absent: anywhere. Links elsewhere are stored as links. */
  readonly mayFollow?: (real: Buffer) => boolean
  /** Programs that read extended attributes; absent: looked up in the system's folders. Null: there are none. */
  readonly tools?: AttributeTools | null
  /** Makes consistent copies of the databases found; absent: they are files like any other. */
  readonly databases?: DatabaseCopier
}

/** A folder, or a single file, as a source. PROFILE_INVALID if its rules cannot be used. */
export function openDirectory(spec: LabelledDirectory, env: DirectoryEnv): Source {
  return new Directory(spec, env)
}

class Directory implements Source {
  readonly label: string
  readonly #spec: LabelledDirectory
  readonly #env: DirectoryEnv
  readonly #filter: Filter

  constructor(spec: LabelledDirectory, env: DirectoryEnv) {
    this.label = spec.label
    this.#spec = spec
    this.#env = env
    this.#filter = compileFilter(spec)
  }

  /** Not a generator around generators: each layer would cost as much as looking at a file. */
  items(after: Mark | null): AsyncGenerator<SourceItem> {
    const position = after === null ? null : decodeMark(after)
    const { disk, log, signal } = this.#env
    const folders = new Folders(disk)
    const walk = walkOf(this.#spec, this.#env, this.#filter, folders).items(position)
    if (this.#spec.xattrs === false) return plain(walk, folders, null)
    const tools = this.#env.tools === undefined ? findAttributeTools(disk) : this.#env.tools
    if (tools === null) return plain(walk, folders, position === null ? this.#notKept() : null)
    const root = (): Buffer => folderOf(disk, this.#spec.path)
    return withXattrs(walk, folders, { tools, root, signal, log, told: toldOf(position) })
  }

  #notKept(): Omission {
    const path = Buffer.from(this.label)
    const message = 'extended attributes and ACLs are not kept: getfattr is not installed'
    const mark = encodeMark('before', Buffer.alloc(0))
    return { type: 'omission', mark, path, reason: 'metadata_not_kept', message, quiet: true }
  }
}

/** Real path of the folder in which a program can be started for this source: of a single file, the one it lies in. */
function folderOf(disk: Disk, source: string): Buffer {
  const real = disk.realpath(source)
  if (disk.lstat(real).kind === 'dir') return real
  return real.subarray(0, Math.max(1, real.lastIndexOf(0x2f)))
}

async function* plain(walk: Generator<WalkItem>, folders: Folders, first: Omission | null): AsyncGenerator<SourceItem> {
  using _ = folders
  if (first !== null) yield first
  for (const item of walk) yield item
}

function toldOf(position: Position | null): Buffer | null {
  return position?.phase === 'told' ? position.path : null
}

/** The bare walk: what counting needs. */
export function walkOf(spec: LabelledDirectory, env: DirectoryEnv, filter: Filter, folders: Folders): Walk {
  const follow = spec.symlinks === 'follow' ? new Follow(env.disk, env.mayFollow ?? (() => true)) : null
  return new Walk({
    disk: env.disk,
    folders,
    store: env.list,
    log: env.log,
    spec,
    label: Buffer.from(spec.label),
    filter,
    follow,
    own: env.own,
    databases: spec.databases === 'raw' ? null : (env.databases ?? null),
    signal: env.signal,
  })
}
