import { BackupError, errnoOf } from '../lib/errors.ts'
import type { HeldJob } from './held-job.ts'
import type { House } from './house.ts'
import type { JobView } from './job.ts'
import { isEnded } from './job.ts'
import type { JobStore } from './store.ts'

/**
 * A late owner has found that its job was taken over. What it made under its old paths before it noticed is
 * removed: the new owner may have swept for the last time already. Best effort; nothing counts on it.
 */
export function abandon(store: JobStore, house: House, held: HeldJob): void {
  try {
    const now = tryRead(store, held.job.number)
    if (now === null) return house.clear({ ...held.job, status: 'cancelled', files: {} }) // the job itself was deleted
    if (now.moving) return // whoever moves in sweeps, and our folders may still be the ones to move
    const { spec: _, ...record } = now
    house.sweepOlder(now)
    held.withdraw(record)
    if (isEnded(now)) house.clear(now)
  } catch (error) {
    if (errnoOf(error) === undefined) throw error
  }
}

function tryRead(store: JobStore, number: number): JobView | null {
  try {
    return store.read(number)
  } catch (error) {
    if (error instanceof BackupError && error.code === 'JOB_NOT_FOUND') return null
    throw error
  }
}
