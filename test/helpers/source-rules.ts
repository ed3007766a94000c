/** Reading TypeScript sources without a compiler: enough for rules about imports, sizes and words. */

export interface Source {
  /** Below the scanned folder, `/`-separated. */
  readonly path: string
  readonly text: string
  /** The text with comments, strings and regular expressions blanked; same lines, same columns. */
  readonly code: string
}

export function source(path: string, text: string): Source {
  return { path, text, code: codeOnly(text) }
}

/** Everything a file imports, in any form, types included. */
export function importsOf({ text }: Source): string[] {
  const found = text.matchAll(
    /^\s*(?:import|export)\b[^'"`;]*?\bfrom '([^']+)'|^import '([^']+)'|\bimport\('([^']+)'\)/gm,
  )
  const urls = text.matchAll(/new URL\('(\.[^']+\.ts)', import\.meta\.url\)/g)
  return [...found, ...urls].map((m) => m[1] ?? m[2] ?? m[3] ?? '')
}

/** `../lib/disk.ts` as seen from `engine/store.ts` is `lib/disk.ts`; packages stay as they are. */
export function resolveImport(from: string, to: string): string {
  if (!to.startsWith('.')) return to
  const parts = from.split('/').slice(0, -1)
  for (const part of to.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '.') parts.push(part)
  }
  return parts.join('/')
}

const SKIP = /\/\/[^\n]*|\/\*[^]*?\*\/|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\[^])*`/y
const REGEXP = /\/(?![*/])(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y
/** What a division follows: a value. Anything else before a slash begins a regular expression. */
const AFTER_VALUE = /[\w)\]}'"`]\s*$/

export function codeOnly(text: string): string {
  let out = ''
  for (let at = 0; at < text.length;) {
    const match = matchAt(SKIP, text, at) ?? (AFTER_VALUE.test(out.slice(-40)) ? null : matchAt(REGEXP, text, at))
    if (match === null) out += text[at++]
    else {
      const quote = /^['"`]/.test(match) ? match[0] : ' '
      out += `${quote}${match.slice(1, -1).replaceAll(/[^\n]/g, ' ')}${match.length > 1 ? quote : ''}`
      at += match.length
    }
  }
  return out
}

function matchAt(pattern: RegExp, text: string, at: number): string | null {
  pattern.lastIndex = at
  return pattern.exec(text)?.[0] ?? null
}

export interface Size {
  readonly line: number
  readonly lines: number
  readonly head: string
}

const OPENS_BODY = /(\)|=>|\)\s*:[^=]*) \{$/
const NOT_A_FUNCTION = /^(\} )?(else |if|for|while|switch|catch|try|do|with)\b/
const indentOf = (line: string): number => line.length - line.trimStart().length

/**
 * The functions of a formatted file with their lengths, from the first line of the head to the
 * closing brace. A body ends where its indentation comes back.
 */
export function functionsOf({ code }: Source): Size[] {
  const lines = code.split('\n')
  const found: Size[] = []
  for (const [i, line] of lines.entries()) {
    if (!OPENS_BODY.test(line.trimEnd())) continue
    const indent = indentOf(line)
    const begin = line.trimStart().startsWith(')') ? headOf(lines, i, indent) : i
    const head = lines[begin]?.trim() ?? ''
    if (NOT_A_FUNCTION.test(head)) continue
    const end = lines.findIndex((l, j) => j > i && l.trimStart().startsWith('}') && indentOf(l) === indent)
    if (end > 0) found.push({ line: begin + 1, lines: end - begin + 1, head })
  }
  return found
}

function headOf(lines: readonly string[], from: number, indent: number): number {
  for (let i = from - 1; i >= 0; i--) if (lines[i]?.trim() !== '' && indentOf(lines[i] ?? '') === indent) return i
  return from
}

/** `path:line` of each place where the pattern (flag g) is found in the code, or in the whole text. */
export function places(file: Source, pattern: RegExp, where: 'code' | 'text'): string[] {
  return [...file[where].matchAll(pattern)].map((match) => {
    const line = file.text.slice(0, match.index).split('\n').length
    return `${file.path}:${line} ${file.text.split('\n')[line - 1]?.trim() ?? ''}`
  })
}
