import { createHash, createSecretKey, hkdfSync, randomBytes, type KeyObject } from 'node:crypto'

/** Bytes of a key. */
const SIZE = 32
/** Bytes that tell one key from another and give nothing of it away. */
export const KEY_ID_SIZE = 8

/** As the key file holds it: the key, and a check that shows a cut or mistyped one. */
const MARK = 'ratchet_key_'
const FORM = /^ratchet_key_([A-Za-z0-9_-]{43})_([0-9a-f]{8})$/
/** As somebody else's generator may have made it. */
const HEX = /^[0-9a-fA-F]{64}$/
const BASE64 = /^[A-Za-z0-9+/_-]{43}=?$/
/** A random key has many more different bytes; one that somebody thought up, or zeros, may have fewer. */
const FEWEST = 16

/** What a key is for: each purpose has a key of its own, so that nothing sealed for one opens as another (S-CRY-2). */
export type Purpose = 'database-password'

/**
 * The key that all stored secrets hang on. A class, so that no text, no empty value and no missing one is ever taken
 * for a key (S-CRY-6); it shows its bytes to nobody but the file it is written to.
 */
export class MasterKey {
  readonly #bytes: Buffer

  private constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  static generate(): MasterKey {
    return new MasterKey(randomBytes(SIZE))
  }

  /** null: this is no key. `foreign`: 32 bytes in hexadecimal or base64 will do, else only what `toText` gives. */
  static parse(text: string, { foreign }: { foreign: boolean }): MasterKey | null {
    const bytes = ownBytes(text) ?? (foreign ? foreignBytes(text) : null)
    return bytes?.length === SIZE && new Set(bytes).size >= FEWEST ? new MasterKey(bytes) : null
  }

  toText(): string {
    const text = this.#bytes.toString('base64url')
    return `${MARK}${text}_${checkOf(text)}`
  }

  /** Names the key beside what it has sealed. */
  get id(): Buffer {
    return this.#derive('key-id').subarray(0, KEY_ID_SIZE)
  }

  for(purpose: Purpose): KeyObject {
    return createSecretKey(this.#derive(purpose))
  }

  #derive(info: string): Buffer {
    return Buffer.from(hkdfSync('sha256', this.#bytes, Buffer.alloc(0), `ratchet v1 ${info}`, SIZE))
  }
}

function ownBytes(text: string): Buffer | null {
  const [, key, check] = FORM.exec(text) ?? []
  return key !== undefined && check === checkOf(key) ? Buffer.from(key, 'base64url') : null
}

function foreignBytes(text: string): Buffer | null {
  if (text.startsWith(MARK)) return null // what is left of one of ours would be base64, too
  if (HEX.test(text)) return Buffer.from(text, 'hex')
  return BASE64.test(text) ? Buffer.from(text, 'base64') : null
}

const checkOf = (key: string): string =>
  createHash('sha256')
    .update(MARK + key)
    .digest('hex')
    .slice(0, 8)
