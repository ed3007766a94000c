import { escapeName, unescapeName } from './entry-path.ts'
import { BackupError } from './errors.ts'
import { compileGlobs, type Glob } from './glob.ts'

/** What is selected below a source; the fields of a directory source. See `Glob` for the patterns. */
export interface FilterRules {
  /** Only files that match, or that lie in a folder that matches. Folders are walked and kept all the same. */
  readonly include?: readonly string[]
  /** Neither what matches nor what is below it. Goes before `include`. */
  readonly exclude?: readonly string[]
  /** Paths below the source, not patterns, as bytes or as escaped text. */
  readonly excludeFolders?: readonly string[]
  readonly excludeFiles?: readonly string[]
  readonly excludeContent?: readonly string[]
  /** Without dot, any case: `log` leaves out `a.LOG`, not `.log`. */
  readonly excludeExtensions?: readonly string[]
  /** Files larger than this are left out. Bytes. */
  readonly maxSize?: number
  /** Files last modified before this moment are left out. Milliseconds since 1970. */
  readonly olderThan?: number
  /** Only files modified at this moment or later. Milliseconds since 1970. */
  readonly newerThan?: number
}

export interface FilterStat {
  readonly size: number
  readonly mtimeNs: bigint
}

/** `empty`: the folder is kept, what is in it is not. `skip`: it is not even opened. */
export type FolderVerdict = 'walk' | 'empty' | 'skip'

export interface Filter {
  /** `path` relative to the source, raw bytes; `included`: a folder above matched `include`. */
  folder(path: Buffer): FolderVerdict
  /** A link or special file is judged by its name alone: `stat` null. */
  file(path: Buffer, stat: FilterStat | null, included: boolean): boolean
  /** Whether everything below this folder is included. */
  includes(path: Buffer): boolean
}

/** PROFILE_INVALID if a rule cannot be used. */
export function compileFilter(rules: FilterRules): Filter {
  return new RuleFilter(rules)
}

class RuleFilter implements Filter {
  readonly #include: readonly Glob[] | null
  readonly #exclude: readonly Glob[]
  readonly #folders: ReadonlySet<string>
  readonly #files: ReadonlySet<string>
  readonly #content: ReadonlySet<string>
  readonly #suffixes: readonly string[]
  readonly #maxSize: number
  readonly #oldest: bigint | null
  /** Nothing looks at names: most sources have no rules, and text costs time. */
  readonly #anyName: boolean

  constructor(rules: FilterRules) {
    this.#include = rules.include === undefined ? null : compileGlobs(rules.include, 'include')
    this.#exclude = compileGlobs(rules.exclude ?? [], 'exclude')
    this.#folders = paths(rules.excludeFolders, 'excludeFolders')
    this.#files = paths(rules.excludeFiles, 'excludeFiles')
    this.#content = paths(rules.excludeContent, 'excludeContent')
    this.#suffixes = (rules.excludeExtensions ?? []).map(suffix)
    this.#maxSize = rules.maxSize ?? Infinity
    this.#oldest = oldest(rules)
    const named = [this.#exclude, this.#suffixes].some((list) => list.length > 0)
    const sets = [this.#folders, this.#files, this.#content].some((set) => set.size > 0)
    this.#anyName = !named && !sets && this.#include === null
  }

  folder(path: Buffer): FolderVerdict {
    if (this.#anyName) return 'walk'
    const text = escapeName(path)
    if (this.#folders.has(text) || matches(this.#exclude, text, true)) return 'skip'
    return this.#content.has(text) ? 'empty' : 'walk'
  }

  file(path: Buffer, stat: FilterStat | null, included: boolean): boolean {
    if (stat !== null && (stat.size > this.#maxSize || this.#tooOld(stat.mtimeNs))) return false
    if (this.#anyName) return true
    const text = escapeName(path)
    if (this.#files.has(text) || this.#hasSuffix(text) || matches(this.#exclude, text, false)) return false
    return included || this.#include === null || matches(this.#include, text, false)
  }

  includes(path: Buffer): boolean {
    return this.#include === null || matches(this.#include, escapeName(path), true)
  }

  #tooOld(mtimeNs: bigint): boolean {
    return this.#oldest !== null && mtimeNs < this.#oldest
  }

  #hasSuffix(path: string): boolean {
    if (this.#suffixes.length === 0) return false
    const name = nameOf(path).toLowerCase()
    return this.#suffixes.some((end) => name.length > end.length && name.endsWith(end))
  }
}

const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1)

function matches(globs: readonly Glob[], path: string, folder: boolean): boolean {
  if (globs.length === 0) return false
  const name = nameOf(path)
  return globs.some((glob) => glob.matches(path, name, folder))
}

/** Texts of paths, in the one form in which names are compared. */
function paths(list: readonly string[] | undefined, field: string): ReadonlySet<string> {
  return new Set(
    (list ?? []).map((text) => {
      const parts = text.split('/').filter((part) => part !== '' && part !== '.')
      if (parts.length === 0 || parts.includes('..')) {
        throw new BackupError('PROFILE_INVALID', `${field}: ${JSON.stringify(text)} is no path below the source`)
      }
      return escapeName(unescapeName(parts.join('/')))
    }),
  )
}

function suffix(extension: string): string {
  const bare = extension.replace(/^\./, '').toLowerCase()
  if (bare === '' || bare.includes('/')) {
    throw new BackupError('PROFILE_INVALID', `excludeExtensions: ${JSON.stringify(extension)} is no extension`)
  }
  return '.' + bare
}

function oldest(rules: FilterRules): bigint | null {
  const given = [rules.olderThan, rules.newerThan].filter((limit) => limit !== undefined)
  return given.length === 0 ? null : BigInt(Math.ceil(Math.max(...given))) * 1_000_000n
}
