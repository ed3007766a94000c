/**
 * Looks over JSON text before it is parsed: how deep it nests, how many keys it has, and whether an
 * object names a key twice (two readers could believe different ones) or names `__proto__`. One pass,
 * no recursion, memory bounded by the limits. Whether the text is JSON at all is left to JSON.parse.
 */
export interface JsonLimits {
  readonly depth: number
  readonly keys: number
}

export const JSON_LIMITS: JsonLimits = { depth: 64, keys: 10_000 }

/** null for an array; for an object the keys seen so far. */
type Frame = { keys: Set<string>; atKey: boolean } | null

/** The reason why the text is refused, or null. */
export function refuseJson(text: string, limits: JsonLimits = JSON_LIMITS): string | null {
  const stack: Frame[] = []
  let keys = 0
  for (let at = 0; at < text.length; at++) {
    const c = text.charCodeAt(at)
    if (c === QUOTE) {
      const end = endOfString(text, at)
      const frame = stack.at(-1)
      if (frame?.atKey === true) {
        if (++keys > limits.keys) return `more than ${limits.keys} keys`
        const complaint = noteKey(frame.keys, text.slice(at, end + 1))
        if (complaint !== null) return complaint
        frame.atKey = false
      }
      at = end
    } else if (c === OPEN_OBJECT || c === OPEN_ARRAY) {
      if (stack.length >= limits.depth) return `nested deeper than ${limits.depth}`
      stack.push(c === OPEN_ARRAY ? null : { keys: new Set(), atKey: true })
    } else if (c === CLOSE_OBJECT || c === CLOSE_ARRAY) stack.pop()
    else if (c === COMMA) {
      const frame = stack.at(-1)
      if (frame) frame.atKey = true
    }
  }
  return null
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

/** Index of the closing quote, or of the last character where it is missing. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const c = text.charCodeAt(at)
    if (c === BACKSLASH) at++
    else if (c === QUOTE) return at
  }
  return text.length - 1
}

function noteKey(keys: Set<string>, literal: string): string | null {
  const key = plain(literal)
  if (key === '__proto__') return 'a key named __proto__'
  if (keys.has(key)) return `the key ${JSON.stringify(key.slice(0, 64))} twice in one object`
  keys.add(key)
  return null
}

/** The key behind its literal: the same key may be written with escapes. */
function plain(literal: string): string {
  if (!literal.includes('\\')) return literal.slice(1, -1)
  try {
    return String(JSON.parse(literal))
  } catch {
    return literal // not a JSON string: the parser will refuse the whole text
  }
}
