import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { onTestFinished } from 'vitest'
import { BackupError } from '../../src/lib/errors.ts'

/** A folder that is gone after the test. */
export function temporary(): string {
  const folder = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'ratchet-settings-')))
  onTestFinished(() => fs.rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** The error's code and message, or what was returned instead. */
export function failure(run: () => unknown): { code: string; message: string } {
  try {
    return { code: 'none', message: JSON.stringify(run()) }
  } catch (error) {
    if (error instanceof BackupError) return { code: error.code, message: error.message }
    throw error
  }
}
