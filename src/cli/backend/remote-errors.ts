import { ConnectionError, RatchetError } from '../../client/errors.ts'
import { BackupError, ERROR_RULES } from '../../lib/errors.ts'
import type { ErrorCode } from '../../lib/errors.ts'

const isCode = (code: string): code is ErrorCode => Object.hasOwn(ERROR_RULES, code)

/** What the client throws, as the errors the commands know. */
export async function remoteErrors<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    if (error instanceof ConnectionError) {
      throw new BackupError(error.status === 429 ? 'TOO_MANY_REQUESTS' : 'UNREACHABLE', error.message, { cause: error })
    }
    if (!(error instanceof RatchetError)) throw error
    const known = isCode(error.code)
    const hint = hintFor(error, known)
    throw new BackupError(known ? error.code : 'INTERNAL', error.message, {
      cause: error,
      ...(hint === undefined ? {} : { hint }),
    })
  }
}

/** What to type here, where the server speaks of its methods. */
function hintFor({ code, hint, data, message }: RatchetError, known: boolean): string | undefined {
  if (code === 'UNAUTHORIZED' && !/password/.test(message)) return TOKEN_HINT
  if (code === 'FORBIDDEN' && data['fresh'] !== undefined) return LOGIN_HINT
  if (hint !== '') return hint
  return known ? undefined : 'Is this the address of a Ratchet server?'
}

const LOGIN_HINT = 'Put what "ratchet user login NAME" prints into RATCHET_TOKEN; it counts as fresh for ten minutes.'
const TOKEN_HINT = 'Set RATCHET_TOKEN to what the file "token" in the data folder of the server holds.'
