import { hasFailedParts } from '../engine/job.ts'
import { decide, refusalText, totalsOf, type Candidate, type Decision, type RemovedFor } from '../engine/retention.ts'
import type { Finding, OlderBackups, RemovalPosition } from '../engine/shelf.ts'
import type { Stage, StageContext, Steps } from '../engine/stage.ts'
import type { AppendFile } from '../lib/append-file.ts'
import { BackupError, errnoOf } from '../lib/errors.ts'
import { WarmHash, hashStart } from '../lib/resumable-hash.ts'
import type { BackupParts } from './backup-parts.ts'
import { backupSpec } from './init.ts'

interface RetentionSlot {
  /** All jobs up to this number have been looked at. */
  seen: number
  /** Verdicts carried out; null until they are committed. */
  done: number | null
  /** The newest complete backup: it is there as long as others may go. */
  newest: number | null
  /** Where the removal of the next one's files stands. */
  position: RemovalPosition
  removed: number
  bytes: number
}

/** What was found: a line of JSON for each job that matters. Then what goes, the oldest first. */
const SURVEY = 'older'
const VERDICTS = 'leaving'

interface Leaving {
  readonly number: number
  readonly bytes: number
  readonly reason: RemovedFor
}

export const REASONS: Readonly<Record<RemovedFor, string>> = {
  superseded: 'no rule of the retention policy keeps it',
  size: 'all that stays would exceed the size that the retention policy allows',
  begun: 'its removal had been begun',
}

/**
 * Removes the files of older backups that the policy lets go, when the new one has its final name. First all are
 * looked at, then the verdicts are committed, then they are carried out one by one. Whatever goes wrong here is a
 * warning: the backup itself is complete.
 */
export const retentionStage = (parts: Pick<BackupParts, 'olderBackups'>): Stage => ({
  name: 'retention',
  domain: 'finalization',
  weight: () => 1,
  async *run(ctx) {
    const slot = ctx.slot<RetentionSlot>('retention', () => ({
      seen: 0,
      done: null,
      newest: null,
      position: { file: 0, hash: hashStart() },
      removed: 0,
      bytes: 0,
    }))
    try {
      const older = parts.olderBackups(ctx)
      if (slot.done === null) yield* judge(ctx, older, slot)
      yield* carryOut(ctx, older, slot)
    } catch (error) {
      if (error instanceof BackupError && error.code === 'LEASE_LOST') throw error
      const reason = error instanceof Error ? error.message : String(error)
      ctx.warn('retention', `removing older backups ended early: ${reason}`)
    }
    if (slot.removed > 0) ctx.log('info', `retention: ${slot.removed} backup(s) removed, ${slot.bytes} bytes`)
    for (const name of [SURVEY, VERDICTS]) ctx.drop(name)
    ctx.forget(HASH)
  },
})

const HASH = 'retention-hash'

/** Of an error that concerns one older backup; any other ends the removal. */
function reasonOf(error: unknown): string {
  if (error instanceof BackupError ? error.code === 'LEASE_LOST' : errnoOf(error) === undefined) throw error
  return error instanceof Error ? error.message : ''
}

async function* judge(ctx: StageContext, older: OlderBackups, slot: RetentionSlot): Steps {
  const { profile, retention = {} } = backupSpec(ctx)
  const survey = ctx.file(SURVEY)
  const numbers = older.numbers(slot.seen)
  for (const [index, number] of numbers.entries()) {
    const found = older.look(number, profile)
    if (found !== null) writeLine(survey, found)
    slot.seen = number
    yield { step: 'looking at older backups', done: index, total: numbers.length }
  }
  const findings = linesOf<Finding>(survey)
  const unreadable = findings.find((finding) => finding.what === 'unreadable')?.number ?? null
  const candidates = findings.flatMap((finding) => (finding.what === 'backup' ? [finding.candidate] : []))
  candidates.push(ownCandidate(ctx))
  note(ctx, slot, decide(candidates, retention, { now: ctx.clock.wall(), current: ctx.job.number, unreadable }))
  slot.done = 0
  yield { step: 'removing older backups', durable: true }
}

/** This very backup, all but ended: its files have their names. */
function ownCandidate({ job }: StageContext): Candidate {
  const { number, createdAt: time, artifacts } = job
  return { number, time, bytes: artifacts.bytes, complete: !hasFailedParts(job), frozen: false, going: false }
}

function note(ctx: StageContext, slot: RetentionSlot, { verdicts, refused }: Decision): void {
  const { kept, removed, frozen } = totalsOf(verdicts)
  const counts = `${kept.count} stay (${kept.bytes} bytes; frozen: ${frozen.count}, ${frozen.bytes} bytes)`
  ctx.log('info', `retention: ${counts}, ${removed.count} go (${removed.bytes} bytes)`)
  if (refused !== null && verdicts.some(({ reasons }) => reasons.some((reason) => reason === refused.why))) {
    ctx.warn('retention', `no older backup was removed: ${refusalText(refused)}`)
  }
  slot.newest = verdicts.find((verdict) => verdict.keep && verdict.reasons.includes('newest'))?.candidate.number ?? null
  const file = ctx.file(VERDICTS)
  for (const { keep, candidate, reasons } of verdicts.toReversed()) {
    const { number, bytes } = candidate
    if (!keep) writeLine(file, { number, bytes, reason: reasons[0] } satisfies Leaving)
  }
}

async function* carryOut(ctx: StageContext, older: OlderBackups, slot: RetentionSlot): Steps {
  const leaving = linesOf<Leaving>(ctx.file(VERDICTS))
  const known = linesOf<Finding>(ctx.file(SURVEY)).flatMap((found) => (found.what === 'reader' ? [found.number] : []))
  const readers = (): number[] => [...known, ...older.numbers(slot.seen)]
  for (let done = slot.done ?? 0; done < leaving.length; done++) {
    const next = leaving[done]
    if (next === undefined) break
    if (!newestIsThere(ctx, older, slot)) {
      return ctx.warn('retention', `backup ${slot.newest}, which was to stay, has gone: no other one is removed`)
    }
    yield* removeOne(ctx, older, slot, next, readers)
    slot.done = done + 1
    slot.position = { file: 0, hash: hashStart() }
    yield { step: 'removing older backups', substep: `backup ${next.number}`, done: done + 1, total: leaving.length }
  }
}

/** People may have deleted it since the verdicts were made. This very backup they cannot: its job is running. */
function newestIsThere(ctx: StageContext, older: OlderBackups, { newest }: RetentionSlot): boolean {
  if (newest === null || newest === ctx.job.number) return true
  try {
    return older.candidate(older.read(newest)) !== null
  } catch (error) {
    if (error instanceof BackupError && error.code === 'JOB_NOT_FOUND') return false
    throw error
  }
}

async function* removeOne(
  ctx: StageContext,
  older: OlderBackups,
  slot: RetentionSlot,
  { number, bytes, reason }: Leaving,
  readers: () => number[],
): Steps {
  const progress = { step: 'removing older backups', substep: `backup ${number}` }
  try {
    const job = older.read(number)
    const { state } = older.condemn(job, { by: 'retention', reason: REASONS[reason] }, readers)
    if (state === 'going') {
      const warm = ctx.keep(HASH, () => new WarmHash())
      for await (const _ of older.unlink(job, slot.position, warm)) yield progress
    }
  } catch (error) {
    if (error instanceof BackupError && HARMLESS.has(error.code)) {
      return ctx.log('info', `retention: backup ${number} stays: ${error.message}`)
    }
    return ctx.warn('retention', `backup ${number} could not be removed: ${reasonOf(error)}`)
  }
  slot.removed++
  slot.bytes += bytes
  ctx.log('info', `retention: the files of backup ${number} were removed: ${REASONS[reason]}`)
}

/** It was frozen, or somebody began to read it, or it was deleted, since it was looked at. */
const HARMLESS: ReadonlySet<string> = new Set(['FROZEN', 'JOB_RUNNING', 'JOB_NOT_FOUND'])

function writeLine(file: AppendFile, value: object): void {
  file.write(Buffer.from(`${JSON.stringify(value)}\n`, 'utf8'))
}

function linesOf<T>(file: AppendFile): T[] {
  const lines = Buffer.from(file.read(0, file.length)).toString('utf8').split('\n')
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as T)
}
