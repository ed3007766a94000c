/** What secrets look like in text that nobody has vouched for. Every pattern takes time in proportion to the text. */

export const REDACTED = '[redacted]'

const WORDS: ReadonlySet<string> = new Set(
  (
    'password passwd passphrase passcode pass pwd secret secrets token tokens key apikey authorization auth ' +
    'credential credentials cookie signature sig jwt bearer otp totp pin'
  ).split(' '),
)
/** Written together: `dbpassword`, `ACCESSKEY`. */
const ENDING = /(password|passwd|passphrase|secret|token|apikey|authkey|accesskey|privatekey|secretkey|credentials?)$/

/** Whether a member, variable, option or parameter of this name holds a secret: `dbPassword`, `API_KEY`, `X-Amz-Signature`. */
export function isSecretName(name: string): boolean {
  const words = name.match(/[A-Z]?[a-z]+|[A-Z]+(?![a-z])/g) ?? []
  return words.some((word) => {
    const plain = word.toLowerCase()
    return WORDS.has(plain) || ENDING.test(plain)
  })
}

type Rule = readonly [pattern: RegExp, by: string | ((match: string, ...parts: string[]) => string)]

/** What may stand behind a name and its sign: a text in quotes, themselves quoted or not, or a word. */
const VALUE = /(?<quote>\\*["'])[\s\S]*?(?:(?<!\\)\k<quote>|$)|[^\s,;&"'<>(){}\\]+/y

/** Up to a value, each with the name first. */
const HEADS: readonly RegExp[] = [
  // `name=value`, `"name":"value"`, also percent-encoded.
  /([A-Za-z_][\w-]{0,63})\\*["']?\s{0,4}(?:=>?|%3[Dd])\s{0,4}/g,
  // The end of a path before a colon is no name.
  /(?<![\w./\\-])([A-Za-z_][\w-]{0,63})\\*["']?\s{0,4}(?::|%3[Aa])\s{0,4}/g,
  /(?<![\w-])--?([A-Za-z][\w-]{0,63})\s{1,4}/g,
]

function hideAssigned(text: string, head: RegExp): string {
  const kept: string[] = []
  let done = 0
  for (const found of text.matchAll(head)) {
    if (found.index < done || !isSecretName(found[1] ?? '')) continue
    const end = found.index + found[0].length
    VALUE.lastIndex = end
    if (!VALUE.test(text)) continue
    kept.push(text.slice(done, end), REDACTED)
    done = VALUE.lastIndex
  }
  return kept.join('') + text.slice(done)
}

/** Words that a service puts before the secrets it makes, and our own. */
const MADE = [
  String.raw`ratchet_(?:token|session|setup|key)_[\w-]+`,
  String.raw`eyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*){0,3}`,
  String.raw`(?:AKIA|ASIA)[A-Z0-9]{16}`,
  String.raw`gh[pousr]_[A-Za-z0-9]{20,}`,
  String.raw`github_pat_\w{20,}`,
  String.raw`glpat-[\w-]{16,}`,
  String.raw`xox[a-z]-[\w-]{10,}`,
  String.raw`AIza[\w-]{30,}`,
  String.raw`[srp]k_(?:live|test)_\w{10,}`,
  String.raw`sk-[\w-]{20,}`,
  String.raw`npm_[A-Za-z0-9]{30,}`,
].join('|')

const RULES: readonly Rule[] = [
  [/-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]{0,30}PRIVATE KEY-----|$)/g, REDACTED],
  // Headers: the whole rest of the line.
  [/\b((?:proxy-)?authorization|(?:set-)?cookie)(\\*["']?\s{0,4}[:=]\s{0,4})[^\r\n]+/gi, `$1$2${REDACTED}`],
  [/\b(bearer|basic|digest)(\s{1,4})[\w+/=.~-]{6,}/gi, `$1$2${REDACTED}`],
  // User and password in an address, and every parameter of one that is signed or carries a secret.
  [/(?<![a-z0-9+.-])([a-z][a-z0-9+.-]{0,20}:\/\/)[^\s"'<>]*@/gi, `$1${REDACTED}@`],
  [
    /(:\/\/[^\s?"'<>]{1,2000}\?)([^\s"'<>]+)/g,
    (match, before = '', query = '') => (hasSecretParameter(query) ? `${before}${REDACTED}` : match),
  ],
  [new RegExp(String.raw`(?<![A-Za-z0-9])(?:${MADE})`, 'g'), REDACTED],
  // 256 random bits, as our token file holds them.
  [
    /(?<![\w-])[\w-]{43}(?![\w-])/g,
    (match) => (/[a-z]/.test(match) && /[A-Z]/.test(match) && /\d/.test(match) ? REDACTED : match),
  ],
]

function hasSecretParameter(query: string): boolean {
  return query.split(/[&;]/).some((pair) => isSecretName(pair.slice(0, 100).split('=')[0] ?? ''))
}

/** The text without what looks like a secret. */
export function hidePatterns(text: string): string {
  let clean = text
  // Each rule's `by` is either a text or a function; `replace` knows both, its types one at a time.
  for (const [pattern, by] of RULES)
    clean = typeof by === 'string' ? clean.replace(pattern, by) : clean.replace(pattern, by)
  return HEADS.reduce(hideAssigned, clean)
}
