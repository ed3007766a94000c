import path from 'node:path'
import type { Clock } from '../lib/clock.ts'
import type { Disk } from '../lib/disk.ts'
import { readFileIfThere, removeIfThere, replaceFile } from '../lib/durable-file.ts'
import { asBackupError } from '../lib/errors.ts'
import type { AccountsFile } from './accounts-file.ts'
import { SETUP_LIFE } from './limits.ts'
import { digestOf, newSecret, sameDigest } from './secret.ts'

/**
 * The setup token, with which whoever started the server makes the first admin over a face. It lies in
 * `<data>/setup-token` (mode 0600) for at most an hour, and counts once; the users' file keeps its digest.
 */
export interface SetupToken {
  readonly file: string
  /** Only when it was made just now: the one time it is shown. */
  readonly token: string | null
  /** Wall clock. */
  readonly until: number
}

export const setupFile = (dataDir: string): string => path.join(dataDir, 'setup-token')

/** The token that can be used now, made if there is none; null when there are users. */
export function openSetup(disk: Disk, clock: Clock, dataDir: string, accounts: AccountsFile): SetupToken | null {
  const file = setupFile(dataDir)
  try {
    const { users, setup } = accounts.read()
    if (users.length > 0) {
      removeIfThere(disk, file) // of a process that was killed between the two
      return null
    }
    const now = clock.wall()
    const lying = readFileIfThere(disk, file)?.toString('utf8').trim() ?? ''
    const usable = setup !== null && now < setup.until && setup.until <= now + SETUP_LIFE
    if (usable && sameDigest(digestOf(lying), setup.digest)) return { file, token: null, until: setup.until }
    const { secret, digest } = newSecret('setup')
    const until = now + SETUP_LIFE
    replaceFile(disk, file, Buffer.from(`${secret}\n`, 'utf8'))
    const after = accounts.change((data) => (data.users.length > 0 ? null : { ...data, setup: { digest, until } }))
    if (after.users.length === 0) return { file, token: secret, until }
    removeIfThere(disk, file)
    return null
  } catch (error) {
    throw asBackupError(error, `cannot make the setup token ${file}`, 'OUTPUT_UNWRITABLE')
  }
}
