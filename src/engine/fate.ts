import type { Clock } from '../lib/clock.ts'
import type { Disk } from '../lib/disk.ts'
import { BackupError } from '../lib/errors.ts'
import { Revisions } from '../lib/revisions.ts'
import type { FilesRemoved, Standing } from './job.ts'
import type { JobPaths } from './paths.ts'

/**
 * What has been decided about a finished backup since it ended, for its record never changes again: numbered files
 * `fate-<n>.json` in its folder. Freezing and removing are steps from one to the next, so of two that come at once
 * one is told no.
 */
export type Fate =
  | { state: 'kept' }
  | { state: 'frozen'; at: number }
  /** `going`: from before the first file is unlinked until the last one durably is, however often that is begun. */
  | { state: 'going' | 'gone'; at: number; by: FilesRemoved['by']; reason: string }

const KEPT: Fate = { state: 'kept' }
const TRIES = 20

export class Fates {
  readonly #disk: Disk
  readonly #clock: Clock
  readonly #paths: JobPaths

  constructor(disk: Disk, clock: Clock, paths: JobPaths) {
    this.#disk = disk
    this.#clock = clock
    this.#paths = paths
  }

  of(number: number): Fate {
    return parse(this.#revisions(number).read()?.value)
  }

  /** ARCHIVE_NOT_FOUND when there is nothing left to freeze. */
  freeze(number: number, frozen: boolean): void {
    this.#change(number, (fate) => {
      const removed = filesRemoved(fate)
      if (removed !== null) throw filesGone(number, removed)
      if ((fate.state === 'frozen') === frozen) return fate
      return frozen ? { state: 'frozen', at: this.#clock.wall() } : KEPT
    })
  }

  /** From here on its files count as removed. What was decided first stays written. FROZEN. */
  condemn(number: number, why: Pick<FilesRemoved, 'by' | 'reason'>): Fate {
    return this.#change(number, (fate) => {
      if (fate.state === 'frozen') throw isFrozen(number)
      return fate.state === 'kept' ? { state: 'going', at: this.#clock.wall(), ...why } : fate
    })
  }

  /** Takes a condemnation back: no file has been unlinked yet. */
  spare(number: number): void {
    this.#change(number, (fate) => (fate.state === 'going' ? KEPT : fate))
  }

  /** Its files have gone, durably. */
  bury(number: number): void {
    this.#change(number, (fate) => (fate.state === 'going' ? { ...fate, state: 'gone' } : fate))
  }

  /** `next` answers with what it was given where nothing is to change. */
  #change(number: number, next: (fate: Fate) => Fate): Fate {
    const revisions = this.#revisions(number)
    for (let left = TRIES; left > 0; left--) {
      const before = revisions.read()
      const now = parse(before?.value)
      const then = next(now)
      if (then === now) {
        revisions.settle()
        return now
      }
      if (revisions.put(before, then) !== null) return then
    }
    throw new BackupError('JOB_BUSY', `others decide about backup ${number} at the same moment`, { data: { number } })
  }

  #revisions(number: number): Revisions {
    return new Revisions(this.#disk, this.#paths.job(number), 'fate')
  }
}

function parse(value: unknown): Fate {
  const fate = value === undefined ? KEPT : fateIn(value)
  if (fate === null) throw new BackupError('STATE_TOO_NEW', 'a later release decided about this backup')
  return fate
}

/** By hand: every thread that steps would else load a library of schemas for this one. Null: unknown. */
function fateIn(value: unknown): Fate | null {
  if (typeof value !== 'object' || value === null) return null
  const { state, at, by, reason } = value as Record<string, unknown>
  if (state === 'kept') return KEPT
  if (typeof at !== 'number') return null
  if (state === 'frozen') return { state, at }
  if ((state !== 'going' && state !== 'gone') || typeof reason !== 'string') return null
  return by === 'user' || by === 'retention' ? { state, at, by, reason } : null
}

export function filesRemoved(fate: Fate): FilesRemoved | null {
  if (fate.state !== 'going' && fate.state !== 'gone') return null
  const { at, by, reason } = fate
  return { at, by, reason }
}

/** The same as views show it. */
export function standingOf(fate: Fate): Standing {
  const removed = filesRemoved(fate)
  return {
    ...(fate.state === 'frozen' ? { frozen: true } : {}),
    ...(removed === null ? {} : { filesRemoved: removed }),
  }
}

export function isFrozen(number: number): BackupError {
  return new BackupError('FROZEN', `backup ${number} is frozen`, { data: { number } })
}

export function filesGone(number: number, { at, by, reason }: FilesRemoved): BackupError {
  const who = by === 'user' ? 'on request' : 'by retention'
  const when = new Date(at).toISOString().slice(0, 19).replace('T', ' ')
  const why = by === 'user' ? '' : `: ${reason}`
  const message = `the files of backup ${number} were removed ${who} on ${when} UTC${why}`
  return new BackupError('ARCHIVE_NOT_FOUND', message, {
    hint: 'Only its record is left; choose a backup that has its files.',
    data: { number, removedAt: at, removedBy: by },
  })
}
