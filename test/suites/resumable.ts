import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { Steps } from '../../src/engine/stage.ts'
import type { MemoryContext } from '../helpers/memory-context.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import type { MemoryWork, Tails } from '../helpers/memory-work.ts'
import { seeded } from '../helpers/random.ts'
import { spread } from '../faults/enumerate.ts'

/** One run of what is tested, from its very beginning. */
export interface ResumableRun {
  readonly work: MemoryWork
  /** The only entrance: called anew in each process. */
  steps(context: MemoryContext): Steps<unknown>
  /** What must come out the same. Buffers may be of any size: they are compared by their digest. */
  result(work: MemoryWork): unknown
  /** Default: deep equality. */
  equal?(whole: unknown, resumed: unknown): void
  dispose?(): void | Promise<void>
}

export interface ResumableOptions {
  /** At most so many cuts per way of cutting, spread over the run; default 40. */
  readonly cuts?: number
  /** Also cut the power (runs on a MemoryDisk only): whatever the stage does beside its work files must be durable by itself. */
  readonly power?: boolean
  readonly seed?: number
}

/**
 * How a process ends at a safe point. `stop`: its time is up, the generator is left politely and
 * all is committed. `closing`: the same after it was told to come to an end and could still finish
 * what was in flight. `after`: killed right after a commit. `kill`: killed with nothing committed
 * since the last barrier.
 */
export type Ending = 'stop' | 'closing' | 'after' | 'kill'

export interface Cut {
  readonly ending: Ending
  readonly tails: Tails
  /** Whether the process ends at this safe point: counted over all processes, and within this one, from 1. */
  at(total: number, inProcess: number): boolean
}

/** A stage that needs more processes than this makes no progress in them. */
const MOST_PROCESSES = 2000
/** Power-cut states for each cut. */
const STATES = 3
/** Safe points that a generator gets after it was told to come to an end. */
const GRACE = 3

/** Runs from start to end, through as many processes as the cut makes of it. Returns the safe points seen. */
export async function runCut(run: ResumableRun, cut: Cut | null): Promise<number> {
  if (run.work.disk instanceof MemoryDisk) run.work.disk.settle()
  let total = 0
  for (let process = 1; process <= MOST_PROCESSES; process++) {
    const running = run.steps(run.work.open())
    for (let inProcess = 1; ; inProcess++) {
      const next = await running.next()
      if (next.done !== true && next.value.beyond === true) {
        // Its step goes on: only a kill ends it here, and the stage's own tests do that.
        if (next.value.durable === true) await run.work.commit()
        inProcess--
        continue
      }
      total++
      const cutHere = cut !== null && cut.at(total, inProcess)
      if (cutHere || next.done === true || next.value.idle === true) {
        const finished = await end(run.work, running, cutHere ? cut : ORDERLY, next.done === true)
        if (finished) return total
        break
      }
      if (next.value.durable === true) await run.work.commit()
    }
  }
  throw new Error(`not finished after ${MOST_PROCESSES} processes: no progress between two safe points`)
}

const ORDERLY: Cut = { ending: 'stop', tails: 'cut', at: () => false }

/** Ends the process; true if the work has ended, too, and its end is committed. */
async function end(work: MemoryWork, running: Steps<unknown>, { ending, tails }: Cut, done: boolean): Promise<boolean> {
  let ended = done
  if (ending === 'closing') {
    work.context.ending = true
    for (let i = 0; i < GRACE && !ended; i++) {
      const next = await running.next()
      ended = next.done === true
      if (next.done === true || next.value.idle === true) break
      if (next.value.durable === true) await work.commit()
    }
  }
  if (ending === 'stop' || ending === 'closing') await running.return(undefined)
  if (ending !== 'kill') await work.commit()
  work.crash(tails)
  // A dead process runs no `finally`; ours has to, for its handles, but nothing it does may count any more.
  await running.return(undefined).catch(() => 'what it tried was refused: its context is dead')
  return ended && ending !== 'kill'
}

/** The last safe point is the end itself: a kill there comes before its commit. */
const once =
  (at: number): Cut['at'] =>
  (total) =>
    total === at

/** Registers the tests for anything that is `Steps`. `make` begins anew each time. */
export function resumable(
  name: string,
  make: () => ResumableRun | Promise<ResumableRun>,
  options: ResumableOptions = {},
): void {
  const attempt = async (
    cut: Cut | null,
    seed = 1,
  ): Promise<{ points: number; result: unknown; run: ResumableRun }> => {
    const run = await make()
    run.work.random = seeded(seed)
    try {
      const points = await runCut(run, cut)
      return { points, result: digested(await run.result(run.work)), run }
    } finally {
      await run.dispose?.()
    }
  }
  const compare = (whole: unknown, { run, result }: { run: ResumableRun; result: unknown }): void =>
    run.equal === undefined ? expect(result).toEqual(whole) : run.equal(whole, result)

  const checkCuts = async (cut: (at: number) => Cut): Promise<void> => {
    const whole = await attempt(null)
    for (const at of spread(whole.points, options.cuts ?? 40, options.seed ?? 1)) {
      for (let state = 0; state < (cut(at).tails === 'power' ? STATES : 1); state++) {
        try {
          compare(whole.result, await attempt(cut(at), at * STATES + state))
        } catch (error) {
          throw new Error(`cut at safe point ${at} of ${whole.points}, state ${state}: ${String(error)}`, {
            cause: error,
          })
        }
      }
    }
  }

  describe(`resumable: ${name}`, () => {
    const tails: Tails[] = options.power ? ['noise', 'cut', 'kept', 'power'] : ['noise', 'cut', 'kept']

    it('comes out the same twice', async () => {
      compare((await attempt(null)).result, await attempt(null))
    })
    for (const ending of ['stop', 'closing', 'after', 'kill'] as const) {
      for (const tail of ending === 'closing' ? (['noise'] as const) : tails) {
        it(`comes out the same when cut at any safe point: ${ending}, tails ${tail}`, async () => {
          await checkCuts((at) => ({ ending, tails: tail, at: once(at) }))
        })
      }
    }
    for (const [every, ending] of [
      [1, 'stop'],
      [1, 'after'],
      [3, 'closing'],
      [7, 'stop'],
    ] as const) {
      it(`comes out the same when every process ends at its safe point ${every}: ${ending}`, async () => {
        const whole = await attempt(null)
        const cut: Cut = { ending, tails: 'noise', at: (_, inProcess) => inProcess === every }
        compare(whole.result, await attempt(cut))
      })
    }
    it('comes out the same when processes are stopped and killed in turn', async () => {
      const whole = await attempt(null)
      for (let first = 1; first <= Math.min(6, whole.points); first++) {
        let last = 0
        const at = (total: number): boolean => {
          if (total < last + first + (last % 5)) return false
          last = total
          return true
        }
        const cut: Cut = {
          get ending() {
            return last % 2 === 0 ? 'stop' : 'after'
          },
          tails: 'noise',
          at,
        }
        compare(whole.result, await attempt(cut))
      }
    })
  })
}

/** Buffers become their length and digest, so that comparing and showing them is cheap. */
export function digested(value: unknown): unknown {
  if (value instanceof Uint8Array)
    return `${value.length} bytes, sha256 ${createHash('sha256').update(value).digest('hex')}`
  if (value instanceof Map) return new Map([...value].map(([k, v]) => [k, digested(v)]))
  if (Array.isArray(value)) return value.map(digested)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, digested(v)]))
}
