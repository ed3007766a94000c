import type { Disk } from '../../src/lib/disk.ts'
import type { MemoryDisk } from './memory-disk.ts'
import type { Random } from './random.ts'

/** Thrown out of a program at the call that is not its turn yet. */
class Pause extends Error {}

interface Logged {
  readonly value: unknown
  readonly error: unknown
  /** What a read put into its buffer. */
  readonly bytes: Buffer | null
}

/**
 * A synchronous program on a disk that can be stopped after any of its calls and go on later: it is
 * run again from its start, its earlier calls are answered from a log, and one more is made. So the
 * calls of several programs can be put into any order. Programs may depend on nothing but what the
 * disk answers; the random part of temporary names is replaced by a counter.
 */
export class Program<T> {
  readonly #run: (disk: Disk) => T
  readonly #disk: MemoryDisk
  readonly #name: string
  readonly #log: Logged[] = []
  result: { value: T } | null = null
  error: unknown = null

  constructor(name: string, disk: MemoryDisk, run: (disk: Disk) => T) {
    this.#name = name
    this.#disk = disk.process()
    this.#run = run
  }

  get done(): boolean {
    return this.result !== null || this.error !== null
  }

  /** Makes the next call, and runs on to the one after it. */
  step(): void {
    const until = this.#log.length + 1
    let at = 0
    const names = new Map<string, string>()
    const disk = new Proxy(this.#disk, {
      get: (target, name) => {
        const method: unknown = Reflect.get(target, name)
        if (typeof method !== 'function') return method
        return (...args: unknown[]): unknown => {
          const logged = this.#log[at++] ?? this.#make(until, method.bind(target), this.#fixed(args, names))
          if (logged.error !== null) throw logged.error
          if (logged.bytes !== null) (args[1] as Buffer).set(logged.bytes, args[2] as number)
          return logged.value
        }
      },
    })
    try {
      this.result = { value: this.#run(disk) }
    } catch (error) {
      if (!(error instanceof Pause)) this.error = error
    }
  }

  #make(until: number, method: (...args: unknown[]) => unknown, args: unknown[]): Logged {
    if (this.#log.length === until) throw new Pause()
    let logged: Logged
    try {
      const value = method(...args)
      const [, into, offset] = args
      const bytes = into instanceof Uint8Array && typeof value === 'number' ? Buffer.from(into) : null
      logged = {
        value,
        error: null,
        bytes: bytes?.subarray(offset as number, (offset as number) + (value as number)) ?? null,
      }
    } catch (error) {
      logged = { value: undefined, error, bytes: null }
    }
    this.#log.push(logged)
    return logged
  }

  #fixed(args: readonly unknown[], names: Map<string, string>): unknown[] {
    return args.map((arg) =>
      typeof arg !== 'string'
        ? arg
        : arg.replace(/[0-9a-f]{12}(?=\.tmp$)/, (random) => {
            const known = names.get(random) ?? `${this.#name}${names.size}`
            names.set(random, known)
            return known
          }),
    )
  }
}

/** Runs all programs to their ends, call by call in an order drawn at random: in bursts, as a scheduler would. */
export function interleave(programs: readonly Program<unknown>[], random: Random): void {
  for (;;) {
    const left = programs.filter((program) => !program.done)
    const [first, ...others] = left
    if (first === undefined) return
    const chosen = random.pick([first, ...others])
    for (let burst = 1 + random.int(random.chance(0.3) ? 40 : 4); burst > 0 && !chosen.done; burst--) chosen.step()
  }
}
