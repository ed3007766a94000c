import { hidePatterns, REDACTED } from './secret-patterns.ts'

/** Shorter ones would be found in innocent words. Characters. */
const SHORTEST = 6

/**
 * What stands before every log: takes secrets out of texts (S-LOG-1). It knows the secrets it was told of, in
 * every usual encoding, and what secrets look like: see `secret-patterns.ts`. In doubt it takes away too much.
 */
export class Redactor {
  #forms: string[] = []

  constructor(known: Iterable<string> = []) {
    for (const secret of known) this.know(secret)
  }

  know(secret: string): void {
    if (secret.length < SHORTEST) return
    const forms = [...this.#forms, ...encodings(secret)]
    this.#forms = [...new Set(forms)].sort((a, b) => b.length - a.length)
  }

  text(text: string): string {
    let clean = text
    for (const form of this.#forms) clean = clean.replaceAll(form, REDACTED)
    return hidePatterns(clean)
  }
}

function encodings(secret: string): string[] {
  const bytes = Buffer.from(secret, 'utf8')
  const hex = bytes.toString('hex')
  const forms = [
    secret,
    JSON.stringify(secret).slice(1, -1),
    encodeURIComponent(secret),
    encodeURIComponent(secret).replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase()),
    bytes.toString('base64').replace(/=+$/, ''),
    bytes.toString('base64url'),
    hex,
    hex.toUpperCase(),
  ]
  return [...forms, ...shifted(bytes)]
}

/** Base64 of a text that has the secret in its middle: what it looks like at the two other alignments, without its edges. */
function shifted(bytes: Buffer): string[] {
  return [1, 2].flatMap((by) => {
    const text = Buffer.concat([Buffer.alloc(by), bytes]).toString('base64')
    const inner = text.slice(by + 1, Math.floor(((bytes.length + by) * 8) / 6))
    return inner.length < SHORTEST ? [] : [inner, inner.replaceAll('+', '-').replaceAll('/', '_')]
  })
}
