import { BackupError } from './errors.ts'

/** A work file shorter than its record says; `size`: null if it is gone. */
export function lost(path: string, committed: number, size: number | null): BackupError {
  const found = size === null ? 'is missing' : `holds only ${size} bytes`
  return new BackupError('WORK_FILE_LOST', `work file ${path} ${found}; ${committed} bytes were recorded`, {
    data: { path, committed, size },
  })
}
