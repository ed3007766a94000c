import type { Audit } from '../engine/services.ts'
import { BackupError } from '../lib/errors.ts'
import type { Call } from './facade.ts'

/** What the audit trail is told about one method. */
export interface Trail<P, R> {
  readonly event: string
  /** Destroys or overwrites something: an entry stands in the trail, durably, before it begins. */
  readonly first?: true
  /** `job:12`. Ids and names of ours only: what strangers write freely may hold a secret. */
  object(params: P, result: R | null): string
}

/** Runs a method with its entries. When the trail cannot be written, what it should tell of does not happen. */
export async function trailed<P, R>(
  audit: Audit,
  call: Call,
  trail: Trail<P, R>,
  params: P,
  work: () => Promise<R>,
): Promise<R> {
  const note = (result: string, answer: R | null): void =>
    audit.note({ ...callerOf(call), event: trail.event, object: trail.object(params, answer), result })
  if (trail.first === true) note('begun', null)
  let answer: R
  try {
    answer = await work()
  } catch (error) {
    if (!TOLD.has(codeOf(error))) note(codeOf(error), null)
    throw error
  }
  note('ok', answer)
  return answer
}

/** Bytes that leave: one entry before the first of them, one about how it ended. */
export async function noteDownload(audit: Audit, call: Call, object: string, work: () => Promise<void>): Promise<void> {
  const note = (result: string): void => audit.note({ ...callerOf(call), event: 'download', object, result })
  note('begun')
  try {
    await work()
  } catch (error) {
    note(codeOf(error))
    throw error
  }
  note('ok')
}

const codeOf = (error: unknown): string => (error instanceof BackupError ? error.code : 'INTERNAL')

/** Noted where they arise, or (`noteRefusal`) not each time. */
const TOLD: ReadonlySet<string> = new Set(['FORBIDDEN', 'PATH_OUTSIDE_ROOTS', 'UNAUTHORIZED', 'TOO_MANY_REQUESTS'])
const REFUSALS: ReadonlySet<string> = new Set(['FORBIDDEN', 'PATH_OUTSIDE_ROOTS'])

const isRefusal = (error: unknown): error is BackupError => error instanceof BackupError && REFUSALS.has(error.code)

/** Whoever knocks again and again at one door must not fill the trail: how often each refusal has been seen. */
const noted = new WeakMap<Audit, Map<string, number>>()
const MOST_NOTED = 1_000
const AGAIN_AFTER = 100

/** A call that was not allowed. The first of its kind, and every hundredth after it. */
export function noteRefusal(audit: Audit, call: Call, error: unknown): void {
  if (!isRefusal(error)) return
  const counts = noted.get(audit) ?? new Map<string, number>()
  noted.set(audit, counts)
  const caller = callerOf(call)
  const name = JSON.stringify([caller.actor, call.session.id, caller.address, call.origin.method ?? '', error.code])
  const count = (counts.get(name) ?? 0) + 1
  counts.delete(name)
  counts.set(name, count)
  for (const oldest of counts.keys()) {
    if (counts.size <= MOST_NOTED) break
    counts.delete(oldest)
  }
  if (count % AGAIN_AFTER !== 1) return
  audit.note({ ...caller, event: 'refused', object: call.origin.method ?? '', result: error.code })
}

function callerOf(call: Call): { actor: string; face: string; address: string; request: string } {
  const { face, address, request = '' } = call.origin
  return { actor: call.session.name, face, address, request }
}
