import { randomBytes } from 'node:crypto'
import path from 'node:path'
import type { Disk } from '../lib/disk.ts'
import { createFileOnce, ensureFolder, readFileIfThere } from '../lib/durable-file.ts'
import { asBackupError, BackupError } from '../lib/errors.ts'

/** 256 bits from the system's generator, as 43 characters of base64url. */
const TOKEN = /^[A-Za-z0-9_-]{43}$/

export interface OpenedToken {
  readonly token: string
  readonly file: string
  /** True at the first start: the only time the caller shows it. */
  readonly created: boolean
}

/**
 * The admin token in `<folder>/token` (mode 0600), made where there is none. Two first starts at once
 * agree on one token. STATE_DAMAGED when the file holds something else: a token somebody thought up
 * is not accepted.
 */
export function openToken(disk: Disk, folder: string): OpenedToken {
  const file = path.join(folder, 'token')
  ensureFolder(disk, folder)
  const fresh = randomBytes(32).toString('base64url')
  const created = readToken(disk, file) === null && createFileOnce(disk, file, Buffer.from(`${fresh}\n`))
  const token = created ? fresh : readToken(disk, file)
  if (token === null) throw new BackupError('STATE_DAMAGED', `${file} vanished while it was read`)
  if (!TOKEN.test(token))
    throw new BackupError('STATE_DAMAGED', `${file} does not hold a token of this program`, {
      hint: 'Remove the file; the next start makes a new token.',
      data: { file },
    })
  keepPrivate(disk, file)
  return { token, file, created }
}

/** The token, for those who must not let it out; null where there is none that can be read. */
export function tokenIfThere(disk: Disk, folder: string): string | null {
  try {
    return readToken(disk, path.join(folder, 'token'))
  } catch (error) {
    if (error instanceof BackupError) return null
    throw error
  }
}

function readToken(disk: Disk, file: string): string | null {
  try {
    const bytes = readFileIfThere(disk, file)
    return bytes === null ? null : bytes.toString('utf8').trim()
  } catch (error) {
    throw asBackupError(error, `cannot read ${file}`, 'STATE_DAMAGED')
  }
}

/** A copied or restored file may have become readable for others. */
function keepPrivate(disk: Disk, file: string): void {
  const fd = disk.open(file, 'read')
  try {
    if ((disk.fstat(fd).mode & 0o077) !== 0) disk.fchmod(fd, 0o600)
  } catch (error) {
    throw asBackupError(error, `cannot make ${file} private`, 'STATE_DAMAGED')
  } finally {
    disk.close(fd)
  }
}
