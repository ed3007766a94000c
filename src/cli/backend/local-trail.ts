import type { Audit, Session } from '../../engine/services.ts'
import { BackupError } from '../../lib/errors.ts'

/** Whoever works on the data folder itself: may write every file in it, so may do everything. */
export const LOCAL: Session = { name: '@local', role: 'admin', profiles: null, kind: 'host', id: '', loginAt: null }

/** An entry for what the command line does on the data folder itself. */
export function noteLocal(audit: Audit, event: string, object: string, result = 'ok'): void {
  audit.note({ event, actor: LOCAL.name, face: 'cli', address: '', object, result, request: '' })
}

/**
 * Something that destroys or overwrites: an entry before it begins, without which it does not, and one about how it
 * ended. `objectOf` is given null where no result is known.
 */
export async function trailedLocal<T>(
  audit: Audit,
  event: string,
  objectOf: (result: T | null) => string,
  work: () => T | Promise<T>,
): Promise<T> {
  noteLocal(audit, event, objectOf(null), 'begun')
  let result: T
  try {
    result = await work()
  } catch (error) {
    noteLocal(audit, event, objectOf(null), error instanceof BackupError ? error.code : 'INTERNAL')
    throw error
  }
  noteLocal(audit, event, objectOf(result))
  return result
}
