import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { BackupError } from '../lib/errors.ts'
import { KEY_ID_SIZE, type MasterKey, type Purpose } from './master-key.ts'

/**
 * A secret as it is stored (S-CRY-1): AES-256-GCM under a key of its purpose, bound to what it is good for.
 * `sealed:v1:` and, in base64url, the id of the master key, a nonce from the system's generator for each sealing, the
 * ciphertext, the tag. The length of the secret can be seen.
 */

const CIPHER = 'aes-256-gcm'
/** Bytes. */
const NONCE_SIZE = 12
const TAG_SIZE = 16
const HEAD_SIZE = KEY_ID_SIZE + NONCE_SIZE

const MARK = 'sealed:v1:'

/** What the secret is for: opened for anything else, it stays shut. */
export interface Bound {
  readonly purpose: Purpose
  /** Always the same text for the same thing. */
  readonly to: string
}

export function seal(secret: string, key: MasterKey, bound: Bound): string {
  const nonce = randomBytes(NONCE_SIZE)
  const { id } = key
  const cipher = createCipheriv(CIPHER, key.for(bound.purpose), nonce, { authTagLength: TAG_SIZE })
  cipher.setAAD(associated(id, bound))
  const text = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()])
  return MARK + Buffer.concat([id, nonce, text, cipher.getAuthTag()]).toString('base64url')
}

/**
 * PROFILE_INVALID: sealed under another key, or for something else, which cannot be told from a text that was changed.
 * STATE_TOO_NEW.
 */
export function unseal(sealed: string, key: MasterKey, bound: Bound): string {
  const bytes = bytesOf(sealed)
  const { id } = key
  if (!bytes.subarray(0, KEY_ID_SIZE).equals(id))
    throw new BackupError('PROFILE_INVALID', 'the password was stored with another key', {
      hint: 'Put back the key of that time (the file "key" of the data folder, or RATCHET_KEY), or give the password again.',
    })
  const nonce = bytes.subarray(KEY_ID_SIZE, HEAD_SIZE)
  const decipher = createDecipheriv(CIPHER, key.for(bound.purpose), nonce, { authTagLength: TAG_SIZE })
  decipher.setAAD(associated(id, bound))
  decipher.setAuthTag(bytes.subarray(-TAG_SIZE))
  const text = decipher.update(bytes.subarray(HEAD_SIZE, -TAG_SIZE))
  try {
    decipher.final() // only now is any of it believed (S-CRY-3)
  } catch (error) {
    throw new BackupError('PROFILE_INVALID', MOVED, { hint: GIVE_AGAIN, cause: error })
  }
  return text.toString('utf8')
}

export const MOVED = 'the password was stored for another server or account; give it again'
export const GIVE_AGAIN = 'Put the password itself into the profile, under "password", and save it.'

const associated = (id: Buffer, { purpose, to }: Bound): Buffer =>
  Buffer.from(JSON.stringify([MARK, id.toString('hex'), purpose, to]), 'utf8')

function bytesOf(sealed: string): Buffer {
  const text = sealed.startsWith(MARK) ? sealed.slice(MARK.length) : ''
  const bytes = Buffer.from(text, 'base64url')
  // One text for one secret: what decodes to the same bytes in another spelling has been touched.
  if (bytes.length > HEAD_SIZE + TAG_SIZE && bytes.toString('base64url') === text) return bytes
  if (Number(/^sealed:v(\d+):/.exec(sealed)?.[1]) > 1)
    throw new BackupError('STATE_TOO_NEW', 'a newer release stored the password', { hint: GIVE_AGAIN })
  throw new BackupError('PROFILE_INVALID', 'the stored password has been changed', { hint: GIVE_AGAIN })
}
