import { checkEntry } from '../../archive/safe-path.ts'
import type { ArchiveEntry } from '../../archive/format.ts'
import { MANIFEST_FOLDER, type ManifestEntry } from '../../archive/manifest.ts'
import { BackupError } from '../../lib/errors.ts'
import { headFault } from './contents.ts'
import { DATABASES } from '../named-databases.ts'
import type { ManifestCursor } from './manifest-cursor.ts'
import type { Repeats } from './names.ts'
import { faultOf, type Fault } from './report.ts'
import type { Selection } from './selection.ts'

/** What is to be done about one entry. */
export interface Item {
  readonly entry: ArchiveEntry
  readonly line: ManifestEntry | null
  /** Empty for a path that is refused. */
  readonly components: readonly Buffer[]
  readonly fault: Fault | null
  readonly wanted: boolean
  /** Entries that the manifest lists before this one and that the archive lacks. */
  readonly missing: readonly ManifestEntry[]
  /** State of the manifest after this entry. */
  readonly after: { readonly line: number; readonly misses: number }
}

export interface PlanRules {
  readonly selection: Selection
  readonly skipInstallation: boolean
  /** Names of databases whose SQL goes into a server, and so into no folder. */
  readonly loaded: ReadonlySet<string>
  /** Names beginning so are the restore's own, in the target. */
  readonly reserved: string
}

/** Goes through the entries in the archive's order and decides what each is worth. */
export class Plan {
  readonly #rules: PlanRules
  readonly #cursor: ManifestCursor
  readonly #repeats: Repeats
  readonly #missing: ManifestEntry[]

  /** `missing`: the list into which the cursor puts the lines it skips. */
  constructor(rules: PlanRules, cursor: ManifestCursor, repeats: Repeats, missing: ManifestEntry[]) {
    this.#rules = rules
    this.#cursor = cursor
    this.#repeats = repeats
    this.#missing = missing
  }

  item(entry: ArchiveEntry): Item {
    const line = this.#cursor.lineFor(entry.path)
    const checked = this.#check(entry)
    const after = { line: this.#cursor.position, misses: this.#cursor.misses }
    const components = checked instanceof Array ? checked : []
    const wanted = components.length === 0 ? this.#rules.selection.all : this.wants(components, entry.kind === 'dir')
    const fault = checked instanceof Array ? headFault({ entry, line }) : checked
    return { entry, line, components, fault, wanted, missing: this.takeMissing(), after }
  }

  /** Lines skipped since the last item that would have been restored. */
  takeMissing(): ManifestEntry[] {
    if (this.#missing.length === 0) return []
    return this.#missing.splice(0).filter((line) => this.wants(split(line.path), line.type === 'dir'))
  }

  wants(components: readonly Buffer[], folder: boolean): boolean {
    if (this.#rules.skipInstallation && components[0]?.toString('latin1') === MANIFEST_FOLDER) return false
    if (isLoaded(this.#rules.loaded, components)) return false
    return this.#rules.selection.has(components, folder)
  }

  #check(entry: ArchiveEntry): Buffer[] | Fault {
    try {
      const components = checkEntry(entry)
      const first = components[0]?.toString('latin1').toLowerCase() ?? ''
      if (first.startsWith(this.#rules.reserved)) throw refused('its name is one this restore uses itself')
      if (this.#repeats.has(entry.index)) throw refused('an earlier entry has the same name')
      return components
    } catch (error) {
      return faultOf(error)
    }
  }
}

/** Whether the entry is SQL of one of these databases. */
export function isLoaded(databases: ReadonlySet<string>, components: readonly Buffer[]): boolean {
  return (
    databases.size > 0 &&
    components[0]?.toString('latin1') === DATABASES &&
    databases.has(components[1]?.toString('utf8') ?? '')
  )
}

const refused = (why: string): BackupError => new BackupError('ENTRY_REFUSED', why)

export function split(path: Buffer): Buffer[] {
  const found: Buffer[] = []
  let from = 0
  for (let to = path.indexOf(0x2f); to !== -1; to = path.indexOf(0x2f, from)) {
    found.push(path.subarray(from, to))
    from = to + 1
  }
  found.push(path.subarray(from))
  return found
}
