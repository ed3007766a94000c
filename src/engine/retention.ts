import type { RetentionPolicy } from './spec.ts'

/**
 * Which backups of a profile stay and which go: a pure function of what there is, the policy and the clock. All
 * calendar rules are in UTC, weeks are those of ISO 8601.
 */

/** A finished backup whose files are there. */
export interface Candidate {
  readonly number: number
  /** When it was begun. Milliseconds since 1970. */
  readonly time: number
  /** Of its files. */
  readonly bytes: number
  /** No part of it failed. */
  readonly complete: boolean
  readonly frozen: boolean
  /** Its removal was decided before, and cut short. */
  readonly going: boolean
}

/**
 * `unruled`: the policy has no rule that would let anything go by number or age. `clock`, `unreadable`: it would go if
 * the clock could be right, and if all records could be read.
 */
export type KeptBy =
  | 'last'
  | 'hourly'
  | 'daily'
  | 'weekly'
  | 'monthly'
  | 'yearly'
  | 'within'
  | 'newest'
  | 'current'
  | 'frozen'
  | 'unruled'
  | 'clock'
  | 'unreadable'
/** `superseded`: no rule keeps it; `size`: all that stays would exceed `maxBytes`; `begun`: its removal was cut short. */
export type RemovedFor = 'superseded' | 'size' | 'begun'

export type Verdict =
  | { readonly keep: true; readonly candidate: Candidate; readonly reasons: readonly KeptBy[] }
  | { readonly keep: false; readonly candidate: Candidate; readonly reasons: readonly [RemovedFor] }

export interface Moment {
  /** Wall clock. Milliseconds since 1970. */
  readonly now: number
  /** The backup at whose end this is asked; it stays. */
  readonly current?: number
  /** A job of which nobody can tell what it is. */
  readonly unreadable?: number | null
}

export interface Decision {
  /** One for each candidate, newest first. */
  readonly verdicts: readonly Verdict[]
  /** Why nothing goes at all: a backup that lies in the future (R34), or a job that cannot be read (R11). */
  readonly refused: { readonly why: 'clock' | 'unreadable'; readonly number: number } | null
}

const HOUR = 3_600_000
const DAY = 24 * HOUR

const dayOf = (time: number): number => Math.floor(time / DAY)
const monthOf = (time: number): number => new Date(time).getUTCFullYear() * 12 + new Date(time).getUTCMonth()

type Bucket = (time: number, index: number) => number

const COUNTED: readonly (readonly [KeptBy, Exclude<keyof RetentionPolicy, 'keepWithinDays' | 'maxBytes'>, Bucket])[] = [
  ['last', 'keepLast', (_, index) => index],
  ['hourly', 'keepHourly', (time) => Math.floor(time / HOUR)],
  ['daily', 'keepDaily', dayOf],
  // 1 January 1970 was a Thursday; weeks begin on Mondays.
  ['weekly', 'keepWeekly', (time) => Math.floor((dayOf(time) + 3) / 7)],
  ['monthly', 'keepMonthly', monthOf],
  ['yearly', 'keepYearly', (time) => new Date(time).getUTCFullYear()],
]

/** Newest first; of the same moment the one with the higher number. */
const byAge = (a: Candidate, b: Candidate): number => b.time - a.time || b.number - a.number

/**
 * Decides about all candidates at once. What is frozen, in the future or half removed is not counted by any rule.
 * Whatever the policy says, the newest complete backup stays, and `moment.current`.
 */
export function decide(candidates: readonly Candidate[], policy: RetentionPolicy, moment: Moment): Decision {
  const sorted = candidates.toSorted(byAge)
  const counted = sorted.filter(({ frozen, going }) => !frozen && !going)
  const kept = new Kept()
  const newest = counted.find(({ complete }) => complete) ?? counted[0]
  if (newest !== undefined) kept.add(newest, 'newest')
  for (const candidate of counted) if (candidate.number === moment.current) kept.add(candidate, 'current')
  const untouchable = new Set(kept.numbers)
  keepByRules(kept, sorted, counted, policy, moment)
  const over = beyond(policy.maxBytes, counted, kept, untouchable)
  const refused = refusal(sorted, moment)
  const verdicts = sorted.map((candidate): Verdict => {
    if (candidate.frozen) return { keep: true, candidate, reasons: ['frozen'] }
    const removed = removedFor(candidate, kept, over)
    if (removed === null) return { keep: true, candidate, reasons: kept.reasons(candidate) }
    return refused === null
      ? { keep: false, candidate, reasons: [removed] }
      : { keep: true, candidate, reasons: [refused.why] }
  })
  return { verdicts, refused }
}

function refusal(sorted: readonly Candidate[], { now, unreadable = null }: Moment): Decision['refused'] {
  if (unreadable !== null) return { why: 'unreadable', number: unreadable }
  const [newest] = sorted
  return newest !== undefined && newest.time > now ? { why: 'clock', number: newest.number } : null
}

/** The same for people. */
export function refusalText({ why, number }: NonNullable<Decision['refused']>): string {
  if (why === 'unreadable') return `job ${number} cannot be read: mend its folder, or move it away`
  return `backup ${number} lies in the future, so the clock is wrong or was: once it is right, delete that backup or wait`
}

function removedFor(candidate: Candidate, kept: Kept, over: ReadonlySet<number>): RemovedFor | null {
  if (candidate.going) return 'begun'
  if (over.has(candidate.number)) return 'size'
  return kept.has(candidate) ? null : 'superseded'
}

class Kept {
  readonly #reasons = new Map<number, KeptBy[]>()

  get numbers(): Iterable<number> {
    return this.#reasons.keys()
  }
  has({ number }: Candidate): boolean {
    return this.#reasons.has(number)
  }
  reasons({ number }: Candidate): readonly KeptBy[] {
    return this.#reasons.get(number) ?? []
  }
  add({ number }: Candidate, by: KeptBy): void {
    const present = this.#reasons.get(number)
    if (present === undefined) this.#reasons.set(number, [by])
    else present.push(by)
  }
}

function keepByRules(
  kept: Kept,
  sorted: readonly Candidate[],
  counted: readonly Candidate[],
  policy: RetentionPolicy,
  { now, current }: Moment,
): void {
  const { keepWithinDays } = policy
  if (keepWithinDays === undefined && COUNTED.every(([, key]) => policy[key] === undefined)) {
    for (const candidate of counted) kept.add(candidate, 'unruled')
    return
  }
  for (const [by, key, bucket] of COUNTED) {
    for (const candidate of ofBuckets(counted, policy[key] ?? 0, bucket)) kept.add(candidate, by)
  }
  if (keepWithinDays === undefined) return
  // Not from now on: a clock that has jumped ahead would make all of them old (R34).
  const earlier = sorted.filter(({ number }) => number !== current)
  const last = earlier.find(({ complete }) => complete) ?? earlier[0]
  const oldest = (last?.time ?? now) - keepWithinDays * DAY
  for (const candidate of counted) if (candidate.time >= oldest) kept.add(candidate, 'within')
}

/** The newest of each of the newest `count` buckets that hold any; one without failed parts where there is one. */
function ofBuckets(counted: readonly Candidate[], count: number, bucketOf: Bucket): Iterable<Candidate> {
  const chosen = new Map<number, Candidate>()
  for (const [index, candidate] of counted.entries()) {
    const bucket = bucketOf(candidate.time, index)
    const present = chosen.get(bucket)
    if (present === undefined && chosen.size >= count) break
    if (present === undefined || (candidate.complete && !present.complete)) chosen.set(bucket, candidate)
  }
  return chosen.values()
}

/** What is kept and has to go all the same, oldest first, until the rest fits. */
function beyond(
  maxBytes: number | undefined,
  counted: readonly Candidate[],
  kept: Kept,
  untouchable: ReadonlySet<number>,
): Set<number> {
  const staying = counted.filter((candidate) => kept.has(candidate))
  let total = bytesOf(staying)
  const over = new Set<number>()
  for (const { number, bytes } of staying.toReversed()) {
    if (maxBytes === undefined || total <= maxBytes) break
    if (untouchable.has(number)) continue
    over.add(number)
    total -= bytes
  }
  return over
}

export interface Amount {
  count: number
  bytes: number
}

/** `kept` holds the frozen ones, too. */
export function totalsOf(verdicts: readonly Verdict[]): { kept: Amount; removed: Amount; frozen: Amount } {
  const amount = (wanted: (verdict: Verdict) => boolean): Amount => {
    const found = verdicts.filter(wanted).map(({ candidate }) => candidate)
    return { count: found.length, bytes: bytesOf(found) }
  }
  return {
    kept: amount(({ keep }) => keep),
    removed: amount(({ keep }) => !keep),
    frozen: amount(({ candidate }) => candidate.frozen),
  }
}

const bytesOf = (candidates: readonly Candidate[]): number => candidates.reduce((sum, { bytes }) => sum + bytes, 0)

/** What a policy would do now. */
export interface RetentionPreview {
  /** Why nothing would go at all; null: nothing stands against it. */
  refused: string | null
  /** Every backup of the profile whose files are there, newest first. */
  backups: RetentionVerdict[]
  /** `kept` holds the frozen ones, too. */
  totals: { kept: Amount; removed: Amount; frozen: Amount }
}

export interface RetentionVerdict {
  number: number
  /** When it was begun. Milliseconds since 1970. */
  time: number
  bytes: number
  /** No part of it failed. */
  complete: boolean
  keep: boolean
  reasons: readonly (KeptBy | RemovedFor)[]
}
