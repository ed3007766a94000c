import picomatch from 'picomatch'
import { escapeName } from '../../lib/entry-path.ts'
import { BackupError } from '../../lib/errors.ts'

const MOST_PATTERNS = 1000
const LONGEST = 1024
/** More in one component, and a hostile name could make matching take very long. */
const MOST_STARS = 3

type Segment = RegExp | '**'

/**
 * Which entries are wanted: globs against the path in the archive, dot files included, `**` for any
 * number of folders. A pattern that names a folder takes all that is below it. Each component is
 * matched for itself, so time stays bounded whatever the names are (S-RATE-3).
 */
export class Selection {
  readonly #patterns: readonly (readonly Segment[])[]

  /** BAD_REQUEST for patterns beyond the bounds. */
  constructor(patterns: readonly string[]) {
    if (patterns.length > MOST_PATTERNS) {
      throw new BackupError('BAD_REQUEST', `${patterns.length} patterns were given; ${MOST_PATTERNS} are allowed`)
    }
    this.#patterns = patterns.map(compile)
  }

  get all(): boolean {
    return this.#patterns.length === 0
  }

  has(components: readonly Buffer[]): boolean {
    if (this.all) return true
    const names = components.map(escapeName)
    return this.#patterns.some((pattern) => matchesSomePrefix(pattern, names))
  }
}

function compile(pattern: string): Segment[] {
  const bad = (why: string): BackupError => new BackupError('BAD_REQUEST', `pattern ${JSON.stringify(pattern)}: ${why}`)
  if (pattern === '' || pattern.length > LONGEST) throw bad(`must have 1 to ${LONGEST} characters`)
  if (/\{[^}]*\//.test(pattern)) throw bad('braces must not hold a slash; give two patterns')
  const segments = pattern.replace(/^\.?\/+/, '').replace(/\/+$/, '').split('/')
  return segments.map((segment) => {
    if (segment === '**') return '**'
    if (segment === '') throw bad('has an empty component')
    if ((segment.match(/\*+/g)?.length ?? 0) > MOST_STARS) throw bad(`at most ${MOST_STARS} stars in one component`)
    // What would be pieces of a regular expression is meant literally: names hold "(1)" more often than not.
    const literal = segment.replace(/\\?[()|+]/g, (found) => `\\${found.at(-1) ?? ''}`).replace(/\*+/g, '*')
    return picomatch.makeRe(literal, { dot: true, nonegate: true, noextglob: true })
  })
}

/** Whether the pattern matches the path or a folder above it. */
function matchesSomePrefix(pattern: readonly Segment[], names: readonly string[]): boolean {
  // reached[i]: the first i segments of the pattern match the names so far.
  let reached = closure(pattern, new Set([0]))
  for (const name of names) {
    const next = new Set<number>()
    for (const at of reached) {
      const segment = pattern[at]
      if (segment === '**') next.add(at === pattern.length - 1 ? at + 1 : at)
      else if (segment?.test(name) === true) next.add(at + 1)
    }
    reached = closure(pattern, next)
    if (reached.has(pattern.length)) return true
    if (reached.size === 0) return false
  }
  return false
}

/** `**` also matches no folder at all, except at the very end, where it needs something below. */
function closure(pattern: readonly Segment[], reached: Set<number>): Set<number> {
  for (const at of reached) {
    if (pattern[at] !== '**') continue
    if (at + 1 < pattern.length) reached.add(at + 1)
  }
  return reached
}
