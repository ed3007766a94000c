import { isOwn, itemsIn, ownFault, type Catalogue } from './catalogue.ts'
import type { Item } from './entry.ts'
import type { Faults } from './faults.ts'
import { Lines, type Line } from './lines.ts'
import { pathFault } from './names.ts'
import type { Options } from './options.ts'
import type { Joined } from './parts.ts'
import { WORK_FOLDER, type Task } from './target.ts'

/** Names of one file share the group. */
export type Grouped = Task & { readonly group: string | null }

/** Whether an entry is asked for; our own ones only by name, or where all is checked. */
export function isWanted({ installation, target, wanted }: Options, name: Buffer): boolean {
  return (installation || target === null || !isOwn(name)) && wanted(name)
}

/** The archive's entries with what the manifest says of each. */
export class Entries {
  /** Of those told about: how many have extended attributes. */
  xattrs = 0
  readonly #archive: Joined
  readonly #options: Options
  readonly #catalogue: Catalogue

  constructor(archive: Joined, options: Options, catalogue: Catalogue) {
    this.#archive = archive
    this.#options = options
    this.#catalogue = catalogue
  }

  /** Every entry that is asked for and can be trusted. `tell`: where those that cannot are named, and what is missing. */
  *all(tell: Faults | null): Generator<Grouped, void, undefined> {
    const miss = ({ name }: Line): void => {
      if (isWanted(this.#options, name)) tell?.add(name, 'the archive does not hold it any more')
    }
    const { manifest } = this.#catalogue
    const lines = manifest === null ? null : new Lines(manifest, miss)
    try {
      for (const item of itemsIn(this.#archive)) {
        const line = lines?.lineFor(item.name) ?? null
        if (!isWanted(this.#options, item.name)) continue
        const fault = item.refused ?? nameFault(item.name) ?? this.#unlisted(item, lines, line)
        if (fault === null) yield this.#taskOf(item, line)
        else tell?.add(item.name, fault)
        if (tell !== null && line?.xattrs === true) this.xattrs++
      }
      if (tell !== null) lines?.end()
    } finally {
      lines?.close()
    }
  }

  #unlisted({ name }: Item, lines: Lines | null, line: Line | null): string | null {
    if (isOwn(name)) return ownFault(this.#catalogue, name)
    return lines === null || line !== null ? null : 'the manifest does not list it'
  }

  #taskOf(item: Item, line: Line | null): Grouped {
    const { owners } = this.#options
    return {
      item,
      digest: line?.digest ?? this.#catalogue.own?.get(item.name.toString('latin1')) ?? null,
      mode: (line?.mode ?? item.mode) & (owners ? 0o7777 : 0o1777),
      mtime: line === null ? item.mtime : secondsOf(line.mtimeNs),
      owner: owners && line !== null ? { uid: line.uid, gid: line.gid } : null,
      group: line?.group ?? null,
    }
  }
}

/** A double of seconds is cut to microseconds below us: half a one is added, so that none is lost on the way. */
const secondsOf = (ns: bigint): number => (Number(ns / 1000n) + 0.5) / 1e6

function nameFault(name: Buffer): string | null {
  const [first] = name.toString('latin1').split('/')
  if (first?.toLowerCase() === WORK_FOLDER) return 'its name is the one of the folder in which files wait'
  return pathFault(name, process.platform === 'win32')
}
