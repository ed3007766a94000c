import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'

/**
 * Secrets that machines keep: 256 bits of the system's generator behind a word that tells people and
 * secret scanners what they have found. Only digests are stored; from so many random bits a fast hash
 * gives nothing away.
 */
export type SecretKind = 'token' | 'session' | 'setup' | 'ticket'

/** Longer ones are refused before anything is computed from them. */
export const MAX_SECRET = 512

/** Twelve characters that name the secret without giving it away, then the secret itself. */
const FORM = /^ratchet_(token|session|setup|ticket)_([a-z0-9]{12})_[A-Za-z0-9_-]{43}$/

export interface NewSecret {
  readonly id: string
  readonly secret: string
  readonly digest: string
}

export function newSecret(kind: SecretKind): NewSecret {
  const id = randomBytes(6).toString('hex')
  const secret = `ratchet_${kind}_${id}_${randomBytes(32).toString('base64url')}`
  return { id, secret, digest: digestOf(secret) }
}

/** What this claims to be, or null if it has the form of no secret of ours. */
export function claimOf(secret: string): { kind: SecretKind; id: string } | null {
  const [, kind, id] = secret.length > MAX_SECRET ? [] : (FORM.exec(secret) ?? [])
  return kind === undefined || id === undefined ? null : { kind: kind as SecretKind, id }
}

/** SHA-256, hexadecimal. */
export const digestOf = (secret: string): string => createHash('sha256').update(secret, 'utf8').digest('hex')

/** Digests are compared, never secrets: they have equal lengths whatever was sent, so it takes the same time. */
export function sameDigest(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a, 'hex'), Buffer.from(b, 'hex')]
  return left.length === right.length && timingSafeEqual(left, right)
}
