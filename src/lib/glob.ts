import picomatch from 'picomatch'
import { BackupError } from './errors.ts'

/**
 * Patterns of users, compiled by picomatch and bounded before that. picomatch makes regular
 * expressions, and those backtrack: what can make a match slow is refused, not timed.
 *
 * - A pattern with a slash is matched against the path below the source (`a/*.log`, `/build` for the
 *   top only); one without against the name at any depth, as gitignore does.
 * - `*` and `?` stop at slashes, `**` does not; dot files are like any other. `[a-z]`, `{a,b}` and
 *   `\` before a special character work. A trailing slash limits the pattern to folders.
 * - Not known: `!` for "not", parentheses, `{1..9}`. They are refused, not taken literally.
 * - Names that are not UTF-8 are matched as their escaped text (`escapeName`): each odd byte is three
 *   characters, U+FFFD and two hex digits. So is a backslash in a name.
 */
export interface Glob {
  /** `path` relative to the source, `name` its last component, both as escaped text. */
  matches(path: string, name: string, folder: boolean): boolean
}

export const MAX_PATTERNS = 1000
const MAX_BYTES = 4096
/** Wildcards between which a name can be split in many ways: the power of its length that a match can cost. */
const MAX_STARS = 3
/** Ways in which the braces of one pattern can be read. */
const MAX_ALTERNATIVES = 256

const OPTIONS: picomatch.PicomatchOptions = {
  dot: true,
  nonegate: true,
  noextglob: true,
  regex: false,
  strictBrackets: true,
  posix: true, // else [!a] is not "anything but a"
  flags: 's', // else ** stops at a newline in a name
}

/** PROFILE_INVALID, naming the field, if a pattern cannot be taken. */
export function compileGlobs(patterns: readonly string[], field: string): Glob[] {
  if (patterns.length > MAX_PATTERNS) {
    throw new BackupError('PROFILE_INVALID', `${field} has ${patterns.length} patterns; ${MAX_PATTERNS} are allowed`)
  }
  return patterns.map((pattern) => compile(pattern, field))
}

function compile(pattern: string, field: string): Glob {
  const problem = problemOf(pattern)
  if (problem !== null) throw refused(pattern, field, problem)
  const foldersOnly = pattern.endsWith('/')
  // picomatch takes quotes for quoting; in a file name they are characters.
  const body = pattern.replace(/\/+$/, '').replace(/(\\?)"/g, '\\"')
  const anchored = body.includes('/')
  try {
    const expression = picomatch.makeRe(body.replace(/^\/+/, ''), OPTIONS)
    if (!(expression instanceof RegExp)) throw new SyntaxError('not a pattern')
    return {
      matches: (path, name, folder) => (folder || !foldersOnly) && expression.test(anchored ? path : name),
    }
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) throw refused(pattern, field, error.message)
    throw error
  }
}

function refused(pattern: string, field: string, problem: string): BackupError {
  const shown = JSON.stringify(pattern.length > 60 ? pattern.slice(0, 60) + '…' : pattern)
  return new BackupError('PROFILE_INVALID', `${field}: pattern ${shown} cannot be used: ${problem}`)
}

function problemOf(pattern: string): string | null {
  if (Buffer.byteLength(pattern) > MAX_BYTES) return `longer than ${MAX_BYTES} bytes`
  if (pattern.includes('\0')) return 'holds a NUL byte'
  if (pattern.startsWith('!')) return '"!" is not known; use "include" for what shall be kept'
  const body = pattern.replace(/^\/+|\/+$/g, '')
  if (body === '') return 'it is empty'
  if (body.split('/').some((part) => part === '..' || part === '.'))
    return '"." and ".." are not known; paths begin at the source'
  return costOf(body)
}

/** Walks the pattern once, counting what could multiply. */
function costOf(pattern: string): string | null {
  let stars = 0
  let globstars = 0
  let alternatives = 1
  const braces: number[] = []
  for (let at = 0; at < pattern.length; at++) {
    const c = pattern[at]
    if (c === '\\') at++
    else if (c === '(' || c === ')' || c === '|') return `"${c}" is not known; braces are: {a,b}`
    else if (c === '[') {
      const end = closing(pattern, at)
      if (end < 0) return '"[" is not closed'
      at = end
    } else if (c === '{') braces.push(1)
    else if (c === ',' && braces.length > 0) braces.push((braces.pop() ?? 0) + 1)
    else if (c === '}' && braces.length > 0) alternatives *= braces.pop() ?? 1
    else if (c === '.' && pattern[at + 1] === '.' && braces.length > 0) return 'ranges in braces are not known'
    else if (c === '/') stars = 0
    else if (c === '*') {
      const run = /^\*+/.exec(pattern.slice(at))?.[0].length ?? 1
      at += run - 1
      if (run > 1) globstars++
      else stars++
    }
    if (stars > MAX_STARS || globstars > MAX_STARS) return `more than ${MAX_STARS} wildcards in a row of one kind`
    if (alternatives > MAX_ALTERNATIVES || braces.length > 2) return 'its braces are too many or too deep'
  }
  return braces.length > 0 ? '"{" is not closed' : null
}

/** End of a bracket expression, or -1. A `]` directly after the opening is a member. */
function closing(pattern: string, open: number): number {
  let at = open + 1
  if (pattern[at] === '!' || pattern[at] === '^') at++
  if (pattern[at] === ']') at++
  while (at < pattern.length && pattern[at] !== ']') at += pattern[at] === '\\' ? 2 : 1
  return at < pattern.length ? at : -1
}
