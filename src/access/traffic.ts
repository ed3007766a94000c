import type { Pace } from '../engine/services.ts'
import type { Clock } from '../lib/clock.ts'
import { BackupError } from '../lib/errors.ts'
import { addressKey } from './address.ts'

/** How often and how many at once. Counted per caller (token, session) or, before one is known, per address. */
export interface TrafficLimits {
  /** Calls a minute of one token or session. Steps, status and progress do not count. */
  readonly requestsPerMinute: number
  /** Jobs started a minute by one token or session. */
  readonly startsPerMinute: number
  /** Calls a minute without a token, of one address. */
  readonly strangersPerMinute: number
  /** Logins a minute, of one address. */
  readonly loginsPerMinute: number
  /** Calls of one caller that may run at once, and of all. */
  readonly callsAtOnce: number
  readonly allCallsAtOnce: number
}

export const TRAFFIC: TrafficLimits = {
  requestsPerMinute: 600,
  startsPerMinute: 60,
  strangersPerMinute: 60,
  loginsPerMinute: 10,
  callsAtOnce: 64,
  allCallsAtOnce: 256,
}

const MINUTE = 60_000
/** Callers remembered; beyond that the one that began its minute longest ago is forgotten. */
const MOST = 8_192

export class Traffic {
  readonly #limits: TrafficLimits
  readonly #clock: Clock
  readonly #minutes = new Map<string, { since: number; count: number }>()
  readonly #running = new Map<string, number>()
  #all = 0

  constructor(clock: Clock, limits: Partial<TrafficLimits> = {}) {
    this.#clock = clock
    this.#limits = { ...TRAFFIC, ...limits }
  }

  /** TOO_MANY_REQUESTS. */
  stranger(address: string): void {
    this.#take(`stranger ${addressKey(address)}`, this.#limits.strangersPerMinute)
  }

  login(address: string): void {
    this.#take(`login ${addressKey(address)}`, this.#limits.loginsPerMinute)
  }

  /** A job of a known caller. TOO_MANY_REQUESTS. */
  start(caller: string): void {
    this.#take(`start ${caller}`, this.#limits.startsPerMinute)
  }

  /** One call of a known caller; to be disposed of at its end. */
  admit(caller: string, pace: Pace): Disposable {
    const mine = this.#running.get(caller) ?? 0
    if (mine >= this.#limits.callsAtOnce || this.#all >= this.#limits.allCallsAtOnce) throw tooMany(1_000)
    if (pace !== 'work') this.#take(`caller ${caller}`, this.#limits.requestsPerMinute)
    this.#running.set(caller, mine + 1)
    this.#all++
    let over = false
    return {
      [Symbol.dispose]: () => {
        if (over) return
        over = true
        this.#all--
        const left = (this.#running.get(caller) ?? 1) - 1
        if (left > 0) this.#running.set(caller, left)
        else this.#running.delete(caller)
      },
    }
  }

  #take(key: string, most: number): void {
    const now = this.#clock.mono()
    const minute = this.#minutes.get(key)
    if (minute === undefined || now - minute.since >= MINUTE) {
      this.#minutes.delete(key)
      this.#minutes.set(key, { since: now, count: 1 })
      for (const oldest of this.#minutes.keys()) {
        if (this.#minutes.size <= MOST) break
        this.#minutes.delete(oldest)
      }
      return
    }
    if (minute.count >= most) throw tooMany(minute.since + MINUTE - now)
    minute.count++
  }
}

export function tooMany(waitMs: number): BackupError {
  const retryAfterMs = Math.max(1, Math.ceil(waitMs))
  const seconds = Math.ceil(retryAfterMs / 1000)
  return new BackupError('TOO_MANY_REQUESTS', `too many calls: wait ${seconds} s`, { data: { retryAfterMs } })
}
