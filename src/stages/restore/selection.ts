import { escapeName } from '../../lib/entry-path.ts'
import { compileGlobs, type Glob } from '../../lib/glob.ts'

/**
 * Which entries are wanted: patterns against the path in the archive (see `Glob`). A pattern that
 * matches a folder takes all that is below it.
 */
export class Selection {
  readonly #globs: readonly Glob[]
  /** The folder asked about last, and whether it or one above it matches: neighbours share theirs. */
  #folder = ''
  #folderMatches = false

  /** PROFILE_INVALID for a pattern that cannot be used. */
  constructor(patterns: readonly string[]) {
    this.#globs = compileGlobs(patterns, 'patterns')
  }

  get all(): boolean {
    return this.#globs.length === 0
  }

  has(components: readonly Buffer[], folder: boolean): boolean {
    if (this.all) return true
    const names = components.map(escapeName)
    const name = names.pop() ?? ''
    const above = names.join('/')
    if (above !== this.#folder) {
      this.#folder = above
      this.#folderMatches = names.some((_, i) => this.#matches(names.slice(0, i + 1), true))
    }
    return this.#folderMatches || this.#matches([...names, name], folder)
  }

  #matches(names: readonly string[], folder: boolean): boolean {
    const path = names.join('/')
    const name = names.at(-1) ?? ''
    return this.#globs.some((glob) => glob.matches(path, name, folder))
  }
}
