import type { Disk } from '../../src/lib/disk.ts'
import { describeCall, faultDisk, type Call, type FaultDisk } from '../helpers/fault-disk.ts'
import type { MemoryDisk } from '../helpers/memory-disk.ts'
import { seeded } from '../helpers/random.ts'
import { ALL_KINDS, KINDS, type FaultKind } from './kinds.ts'

/** What one run works on. Whatever else its callbacks want to remember (what was acknowledged, …) goes in here too. */
export interface World {
  readonly disk: MemoryDisk
}

export interface Enumeration<W extends World> {
  /** A fresh start; called once per run. A `clone()` of something prepared is cheap. */
  build(): W | Promise<W>
  /** The whole work, from whatever lies on the disk to its end, as one process. It may throw once a fault has struck. */
  run(disk: Disk, world: W): unknown
  /** How the next process goes on, on a disk without faults; default `run`. Must not throw. */
  finish?(disk: Disk, world: W): unknown
  /** Throws if the finished work is wrong. */
  check(disk: Disk, world: W): unknown
  /** Throws if a state is one that no crash may leave, before anybody repairs it. */
  checkCrashed?(disk: Disk, world: W): unknown
  /** Default: all. */
  kinds?: readonly FaultKind[]
  /** At most so many points of each kind, spread over the run; default: every one. */
  points?: number
  /** And every one of the last so many, where the work becomes visible; default 0. */
  tail?: number
  /** Calls that no fault strikes, because others look at what they do. */
  spares?(call: Call): boolean
  /** Power-cut states drawn at random for each point, beside the one with nothing unsynced; default 3. */
  cuts?: number
  seed?: number
  /** Whether a run that was not stopped must have closed every descriptor (default true). */
  closes?: boolean
}

export interface FaultReport {
  /** Calls of an undisturbed run that each kind can strike, and how many of them were tried. */
  readonly points: Readonly<Partial<Record<FaultKind, { of: number; tried: number }>>>
  readonly runs: number
}

const SHOWN = 4

/**
 * Counts the calls of one undisturbed run; then, for each call and each kind of fault, begins anew,
 * strikes there, lets a fresh process finish, and checks: at the end, and once more with everything
 * unsynced taken away. Throws one error that lists what failed, where, and the seed.
 */
export async function enumerateFaults<W extends World>(what: Enumeration<W>): Promise<FaultReport> {
  const work = new Enumerator(what)
  await work.undisturbed()
  const points: Partial<Record<FaultKind, { of: number; tried: number }>> = {}
  for (const kind of what.kinds ?? ALL_KINDS) {
    const of = (await work.count(kind)) + (kind === 'power' ? 1 : 0) // power may also go after the last call
    const chosen = [...new Set([...spread(of, what.points ?? of, work.seed), ...lastOf(of, what.tail ?? 0)])]
    for (const at of chosen) await work.strike(kind, at)
    points[kind] = { of, tried: chosen.length }
  }
  if (work.failures.length > 0) throw new Error(summary(work))
  return { points, runs: work.runs }
}

const lastOf = (of: number, count: number): number[] => Array.from({ length: Math.min(of, count) }, (_, i) => of - i)

/** `wanted` of 1…`of`: the first and the last, and one out of each stretch between. */
export function spread(of: number, wanted: number, seed: number): number[] {
  if (wanted >= of) return Array.from({ length: of }, (_, i) => i + 1)
  const random = seeded(seed)
  const inner = Array.from({ length: Math.max(0, wanted - 2) }, (_, i) => {
    const from = 2 + Math.floor((i * (of - 2)) / (wanted - 2))
    const to = 2 + Math.floor(((i + 1) * (of - 2)) / (wanted - 2))
    return from + random.int(Math.max(1, to - from))
  })
  return [...new Set([1, ...inner, of])]
}

/** A few of each kind: the kinds that fail say more than the calls. */
function summary(work: { failures: { kind: FaultKind; text: string }[]; runs: number; seed: number }): string {
  const shown = Object.values(Object.groupBy(work.failures, (f) => f.kind)).flatMap((all = []) => {
    const more = all.length > SHOWN ? [`  … and ${all.length - SHOWN} more of this kind`] : []
    return [...all.slice(0, SHOWN).map((f) => f.text), ...more]
  })
  return [`${work.failures.length} of ${work.runs} runs failed (seed ${work.seed}):`, ...shown].join('\n')
}

class Enumerator<W extends World> {
  readonly failures: { kind: FaultKind; text: string }[] = []
  readonly seed: number
  runs = 0
  readonly #what: Enumeration<W>

  constructor(what: Enumeration<W>) {
    this.#what = what
    this.seed = what.seed ?? 1
  }

  /** Without a fault the work must succeed: and last, once it has said so. */
  async undisturbed(): Promise<void> {
    const world = await this.#what.build()
    await this.#what.run(world.disk, world)
    if (this.#what.closes !== false && world.disk.openDescriptors > 0) throw new Error(leak(world.disk))
    await this.#what.check(world.disk.kill(), world)
    await this.#lasting(world.disk, world)
  }

  async count(kind: FaultKind): Promise<number> {
    const world = await this.#what.build()
    const disk = faultDisk(world.disk, { counts: this.#counts(kind) })
    await this.#what.run(disk, world)
    return disk.counted
  }

  #counts(kind: FaultKind): (call: Call) => boolean {
    const { counts } = KINDS[kind]
    return (call) => counts(call) && this.#what.spares?.(call) !== true
  }

  async strike(kind: FaultKind, at: number): Promise<void> {
    if (kind !== 'power' && kind !== 'twice') return this.#once(kind, at, null)
    await this.#once(kind, at, 0)
    for (let cut = 1; cut <= (this.#what.cuts ?? 3); cut++)
      await this.#once(kind, at, this.seed * 1_000_003 + at * 101 + cut)
  }

  /** `cut`: null = no power cut, 0 = all that is unsynced is lost, else the seed of the state. */
  async #once(kind: FaultKind, at: number, cut: number | null): Promise<void> {
    this.runs++
    const world = await this.#what.build()
    const disk = faultDisk(world.disk, { counts: this.#counts(kind), at, fault: KINDS[kind].fault })
    try {
      await this.#run(disk, world, at)
      const next = await this.#crash(world.disk, world, cut)
      const last = kind === 'twice' ? await this.#again(next, world, at, cut ?? 0) : next
      await this.#finish(last, world)
    } catch (error) {
      const call = disk.struck === null ? 'after the last call' : describeCall(disk.struck)
      const power = cut === null ? '' : cut === 0 ? ', all unsynced lost' : `, power cut ${cut}`
      this.failures.push({ kind, text: `  ${kind} at ${at} (${call})${power}: ${messageOf(error)}` })
    }
  }

  /** The run in which the fault strikes: it may throw, but only then, and it may leave nothing open. */
  async #run(disk: FaultDisk, world: W, at: number): Promise<void> {
    try {
      await this.#what.run(disk, world)
    } catch (error) {
      if (disk.struck === null) throw new Error(`failed before the fault at ${at} struck: ${messageOf(error)}`)
    }
    if (this.#what.closes !== false && !disk.stopped && world.disk.openDescriptors > 0)
      throw new Error(leak(world.disk))
  }

  async #crash(disk: MemoryDisk, world: W, cut: number | null): Promise<MemoryDisk> {
    const next = cut === null ? disk.kill() : disk.powerCut(cut === 0 ? 'lose' : seeded(cut))
    await this.#what.checkCrashed?.(next, world)
    return next
  }

  /** Whoever takes over dies as well, somewhere. */
  async #again(disk: MemoryDisk, world: W, at: number, cut: number): Promise<MemoryDisk> {
    const random = seeded(cut + at)
    const fault = {
      kind: 'stop',
      when: random.pick<'before' | 'inside' | 'after'>(['before', 'inside', 'after']),
    } as const
    const second = faultDisk(disk, { at: 1 + random.int(at + 10), fault })
    try {
      await (this.#what.finish ?? this.#what.run)(second, world)
    } catch (error) {
      if (second.struck === null) throw error
    }
    return this.#crash(disk, world, random.int(2 ** 30))
  }

  async #finish(disk: MemoryDisk, world: W): Promise<void> {
    await (this.#what.finish ?? this.#what.run).call(this.#what, disk, world)
    if (this.#what.closes !== false && disk.openDescriptors > 0) throw new Error(leak(disk))
    await this.#what.check(disk, world)
    await this.#lasting(disk, world)
  }

  async #lasting(disk: MemoryDisk, world: W): Promise<void> {
    try {
      await this.#what.check(disk.powerCut('lose'), world)
    } catch (error) {
      throw new Error(`right, but not durable when it said it was: ${messageOf(error)}`)
    }
  }
}

const messageOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? ''
const leak = (disk: MemoryDisk): string => `${disk.openDescriptors} descriptors left open`
