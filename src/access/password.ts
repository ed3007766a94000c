import { argon2, randomBytes, timingSafeEqual } from 'node:crypto'
import { BackupError } from '../lib/errors.ts'
import { LEAKED } from './leaked.ts'

/** Argon2id as RFC 9106 §4 recommends it second (64 MiB, 3 passes), on one lane. */
export interface PasswordCost {
  /** KiB. */
  readonly memory: number
  readonly passes: number
}

export const PASSWORD_COST: PasswordCost = { memory: 65_536, passes: 3 }

export const MIN_PASSWORD = 12
/** Longer ones are refused before anything is computed from them. */
export const MAX_PASSWORD = 1024

const SALT = 16
const HASH = 32
/** Computations at once: each takes a core and 64 MiB. */
const AT_ONCE = 2
/** Who waits behind this many others is sent away. */
const MOST_WAITING = 32

/** Why a password is not accepted, or null. `name`: the user it is for. */
export function refusePassword(password: string, name: string): string | null {
  if (password.length > MAX_PASSWORD) return `it is longer than ${MAX_PASSWORD} characters`
  const text = password.normalize('NFC')
  const low = text.toLowerCase()
  if ([...text].length < MIN_PASSWORD) return `it has fewer than ${MIN_PASSWORD} characters`
  // eslint-disable-next-line no-control-regex -- control characters are what is refused
  if (/[\u0000-\u001f\u007f]/.test(text) || !text.isWellFormed()) return 'it holds control characters'
  if (LEAKED.has(low)) return 'it is among those that have leaked most often'
  if (new Set(low).size < 5 || /^(.+)\1+$/su.test(low)) return 'it repeats itself'
  if (steps(low) > 0.7) return 'it is a mere sequence'
  if (low.replaceAll(name.toLowerCase(), '').length < MIN_PASSWORD - 4) return 'it is little more than the user name'
  return null
}

/** Share of characters that follow their predecessor in the alphabet or on the row of digits. */
function steps(text: string): number {
  let count = 0
  for (let i = 1; i < text.length; i++) if (Math.abs(text.charCodeAt(i) - text.charCodeAt(i - 1)) <= 1) count++
  return count / (text.length - 1)
}

interface Stored {
  readonly cost: PasswordCost
  readonly salt: Buffer
  readonly hash: Buffer
}

/** The string form of the Argon2 reference implementation: `$argon2id$v=19$m=65536,t=3,p=1$salt$hash`. */
const FORM = /^\$argon2id\$v=19\$m=(\d{1,8}),t=(\d{1,3}),p=1\$([A-Za-z0-9+/]{22})\$([A-Za-z0-9+/]{43})$/

export const isPasswordHash = (text: string): boolean => FORM.test(text)

function parse(text: string): Stored {
  const [, memory, passes, salt, hash] = FORM.exec(text) ?? []
  if (salt === undefined || hash === undefined) throw new BackupError('STATE_DAMAGED', 'a stored password is damaged')
  return {
    cost: { memory: Number(memory), passes: Number(passes) },
    salt: Buffer.from(salt, 'base64'),
    hash: Buffer.from(hash, 'base64'),
  }
}

/** Hashes and checks passwords, on Node's own threads and a few at a time. */
export class Passwords {
  readonly #cost: PasswordCost
  /** What is checked when there is no such user: the same work, and never right. */
  readonly #nobody: Stored
  readonly #waiting: (() => void)[] = []
  #running = 0
  /** The most that ever ran at once, and how many there were. */
  peak = 0
  computed = 0

  constructor(cost: PasswordCost = PASSWORD_COST) {
    this.#cost = cost
    this.#nobody = { cost, salt: randomBytes(SALT), hash: randomBytes(HASH) }
  }

  async hash(password: string): Promise<string> {
    const salt = randomBytes(SALT)
    const hash = await this.#compute(password, { cost: this.#cost, salt })
    const { memory, passes } = this.#cost
    const plain = (bytes: Buffer): string => bytes.toString('base64').replace(/=+$/, '')
    return `$argon2id$v=19$m=${memory},t=${passes},p=1$${plain(salt)}$${plain(hash)}`
  }

  /** `stored`: null where there is no such user; that takes as long and is false. */
  async verify(password: string, stored: string | null): Promise<boolean> {
    const known = stored === null ? this.#nobody : parse(stored)
    const same = timingSafeEqual(await this.#compute(password, known), known.hash)
    return same && stored !== null
  }

  async #compute(password: string, { cost, salt }: Omit<Stored, 'hash'>): Promise<Buffer> {
    await this.#turn()
    this.computed++
    try {
      return await derive(password.normalize('NFC'), cost, salt)
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#running--
      else next() // which takes this place over
    }
  }

  async #turn(): Promise<void> {
    if (this.#running >= AT_ONCE) {
      if (this.#waiting.length >= MOST_WAITING)
        throw new BackupError('TOO_MANY_REQUESTS', 'too many passwords are being checked', {
          data: { retryAfterMs: 2_000 },
        })
      return new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
    this.#running++
    this.peak = Math.max(this.peak, this.#running)
  }
}

function derive(message: string, { memory, passes }: PasswordCost, nonce: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    argon2('argon2id', { message, nonce, parallelism: 1, tagLength: HASH, memory, passes }, (error, key) =>
      error === null ? resolve(key) : reject(error),
    )
  })
}
