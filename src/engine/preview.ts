import { setImmediate as turn } from 'node:timers/promises'
import type { Clock } from '../lib/clock.ts'
import { decide, refusalText, totalsOf, type Candidate } from './retention.ts'
import type { RetentionPreview } from './services.ts'
import type { OlderBackups } from './shelf.ts'
import type { RetentionPolicy } from './spec.ts'

/** Jobs looked at before others are served. */
const BATCH = 50

/** What the policy would do right now, by the same looks and the same verdicts as the stage. */
export async function preview(
  older: OlderBackups,
  clock: Clock,
  profile: number,
  policy: RetentionPolicy,
): Promise<RetentionPreview> {
  const candidates: Candidate[] = []
  let unreadable: number | null = null
  for (const [index, number] of older.numbers().entries()) {
    if (index % BATCH === BATCH - 1) await turn()
    const found = older.look(number, profile)
    if (found?.what === 'unreadable') unreadable ??= number
    if (found?.what === 'backup') candidates.push(found.candidate)
  }
  const { verdicts, refused } = decide(candidates, policy, { now: clock.wall(), unreadable })
  return {
    refused: refused === null ? null : refusalText(refused),
    backups: verdicts.map(({ keep, reasons, candidate: { number, time, bytes, complete } }) => {
      return { number, time, bytes, complete, keep, reasons }
    }),
    totals: totalsOf(verdicts),
  }
}
