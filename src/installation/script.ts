import { fileURLToPath } from 'node:url'
import { readFileIfThere } from '../lib/durable-file.ts'
import { realDisk } from '../lib/disk.ts'
import { BackupError } from '../lib/errors.ts'

/** Made by `npm run script` from the files of `script/`. */
export const SCRIPT = new URL('./restore.mjs', import.meta.url)

let text: string | undefined

/** `installation/restore.mjs`, which restores a backup on a bare Node: the same text for every call of one release. */
export function restoreScript(): string {
  text ??= readFileIfThere(realDisk, fileURLToPath(SCRIPT))?.toString('utf8')
  if (text === undefined) {
    throw new BackupError('INTERNAL', 'restore.mjs, a part of this program, is missing: install it again')
  }
  return text
}
