import type { Clock } from '../lib/clock.ts'
import { addressKey, isLoopback } from './address.ts'

/**
 * Slows guessing down, for all faces together. Three things are counted: failures of an address; of an
 * account, from however many addresses; and of everybody. Monotonic time only, so a jump of the clock
 * frees nobody. Memory is bounded: beyond the limits what failed longest ago is forgotten.
 *
 * - An address waits after a few failures, longer each time. A right secret clears nothing: whoever shares
 *   its address would guess on for free.
 * - An account counts each address that failed on it once, so that one guesser cannot lock its owner out
 *   elsewhere; many addresses together make strangers wait.
 * - A secret of 256 bits that names itself, and was right from this address the last time it was named, is looked at
 *   at once: a neighbour's stale token must not hold a backup up. One wrong one in its name ends that.
 * - Everybody together has a small allowance of failures. Once it is spent only this machine and addresses that have
 *   shown a right secret before are listened to.
 */
export interface GuardOptions {
  readonly clock: Clock
  /** Failures before the first wait. */
  readonly free?: number
  readonly firstDelayMs?: number
  readonly maxDelayMs?: number
  /** Loopback: every local user and a proxy's clients share the address, so the wait stays short. */
  readonly maxLoopbackDelayMs?: number
  /** After this long without a failure an address starts afresh. */
  readonly forgetMs?: number
  readonly maxAddresses?: number
  /** Failures of everybody within `allowanceMs`. */
  readonly allowance?: number
  readonly allowanceMs?: number
}

interface Entry {
  failures: number
  /** Being looked at: they count as failures until they are known not to be. */
  pending: number
  blockedUntil: number
  lastFailure: number
}

/** An attempt that is being looked at. One of the three ends it. */
export interface Attempt {
  failed(): void
  /** Nobody can say: it could not be looked at. */
  undone(): void
  /** The secret was right: the address is known from now on. */
  passed(): void
}

const DEFAULTS = {
  free: 5,
  firstDelayMs: 1_000,
  maxDelayMs: 15 * 60_000,
  maxLoopbackDelayMs: 60_000,
  forgetMs: 30 * 60_000,
  maxAddresses: 4_096,
  allowance: 25,
  allowanceMs: 10 * 60_000,
}

export class AttemptGuard {
  readonly #clock: Clock
  readonly #options: typeof DEFAULTS
  /** Addresses, and accounts, in the order of their last failure. */
  readonly #entries = new Map<string, Entry>()
  /** Which address failed on which account, and when. */
  readonly #pairs = new Map<string, number>()
  /** Addresses (`*|address`) and accounts at an address that were right once. */
  readonly #known = new Set<string>()
  /** Of those accounts at an address that were right the last time. */
  readonly #proven = new Set<string>()
  /** Times of the failures of everybody, oldest first. */
  readonly #all: number[] = []
  #pending = 0

  constructor(options: GuardOptions) {
    const { clock, ...rest } = options
    this.#clock = clock
    this.#options = { ...DEFAULTS, ...rest }
  }

  /**
   * How long this address must still wait before its secret is looked at. Milliseconds; 0: go on. `exempt`: the
   * allowance of everybody does not count, since the account cannot be hit upon by chance; nor does anything where it
   * was right the last time.
   */
  waitMs(address: string, account?: string, exempt = false): number {
    const key = addressKey(address)
    if (exempt && account !== undefined && this.#proven.has(pair(account, key))) return 0
    const own = this.#entryWait(key)
    const listened = exempt || isLoopback(key) || this.#known.has(pair('*', key))
    const everybody = listened ? 0 : this.#commonWait()
    if (account === undefined || this.#known.has(pair(account, key))) return Math.max(own, everybody)
    return Math.max(own, everybody, this.#entryWait(accountKey(account)))
  }

  /**
   * Before a secret is looked at, where that takes time: attempts under way count, so that a hundred at once
   * are not a hundred for free. Only after `waitMs` has answered 0.
   */
  begin(address: string, account?: string): Attempt {
    const keys = [addressKey(address), ...(account === undefined ? [] : [accountKey(account)])]
    for (const key of keys) this.#entry(key).pending++
    this.#pending++
    const end = (): void => {
      for (const key of keys) this.#release(key)
      this.#pending--
    }
    return {
      undone: end,
      failed: () => {
        end()
        this.failed(address, account)
      },
      passed: () => {
        end()
        this.passed(address, account)
      },
    }
  }

  /** Notes a wrong secret. */
  failed(address: string, account?: string): void {
    const key = addressKey(address)
    const now = this.#clock.mono()
    this.#all.push(now)
    if (this.#all.length > this.#options.maxAddresses) this.#all.shift()
    this.#fail(key, now)
    if (account === undefined) return
    const both = pair(account, key)
    this.#proven.delete(both)
    const before = this.#pairs.get(both)
    this.#pairs.delete(both)
    this.#pairs.set(both, now)
    trim(this.#pairs, this.#options.maxAddresses)
    if (before === undefined || now - before > this.#options.forgetMs) this.#fail(accountKey(account), now)
  }

  /** Notes a right one. */
  passed(address: string, account?: string): void {
    const key = addressKey(address)
    for (const name of [pair('*', key), ...(account === undefined ? [] : [pair(account, key)])]) {
      this.#known.delete(name)
      this.#known.add(name)
    }
    trim(this.#known, this.#options.maxAddresses)
    if (account === undefined) return
    this.#proven.delete(pair(account, key))
    this.#proven.add(pair(account, key))
    trim(this.#proven, this.#options.maxAddresses)
  }

  get size(): number {
    return this.#entries.size
  }

  #fail(key: string, now: number): void {
    const known = this.#entries.get(key)
    const fresh = known === undefined || now - known.lastFailure > this.#options.forgetMs
    const failures = fresh ? 1 : known.failures + 1
    const entry = { failures, pending: known?.pending ?? 0, lastFailure: now, blockedUntil: 0 }
    entry.blockedUntil = now + this.#delay(key, failures)
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    trim(this.#entries, this.#options.maxAddresses)
  }

  #entry(key: string): Entry {
    const known = this.#entries.get(key)
    if (known !== undefined) return known
    const entry = { failures: 0, pending: 0, blockedUntil: 0, lastFailure: this.#clock.mono() }
    this.#entries.set(key, entry)
    trim(this.#entries, this.#options.maxAddresses)
    return entry
  }

  /** An address that was right at once leaves nothing behind: it must push nobody out who failed. */
  #release(key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    entry.pending = Math.max(0, entry.pending - 1)
    if (entry.pending === 0 && entry.failures === 0) this.#entries.delete(key)
  }

  #entryWait(key: string): number {
    const entry = this.#entries.get(key)
    if (entry === undefined) return 0
    const { free, firstDelayMs } = this.#options
    // Whoever has failed before is looked at one at a time.
    const crowded = entry.pending > 0 && entry.failures + entry.pending >= free
    return Math.max(crowded ? firstDelayMs : 0, entry.blockedUntil - this.#clock.mono())
  }

  #commonWait(): number {
    const { allowance, allowanceMs, firstDelayMs } = this.#options
    const now = this.#clock.mono()
    while (this.#all[0] !== undefined && this.#all[0] <= now - allowanceMs) this.#all.shift()
    if (this.#all.length + this.#pending < allowance) return 0
    const leaves = this.#all[this.#all.length + this.#pending - allowance]
    return leaves === undefined ? firstDelayMs : Math.max(firstDelayMs, leaves + allowanceMs - now)
  }

  #delay(key: string, failures: number): number {
    const { free, firstDelayMs, maxDelayMs, maxLoopbackDelayMs } = this.#options
    if (failures < free) return 0
    const most = isLoopback(key) ? Math.min(maxLoopbackDelayMs, maxDelayMs) : maxDelayMs
    return Math.min(most, firstDelayMs * 2 ** Math.min(30, failures - free))
  }
}

const accountKey = (account: string): string => `account ${account}`
const pair = (account: string, key: string): string => `${account}|${key}`

function trim(map: Map<string, unknown> | Set<string>, most: number): void {
  for (const key of map.keys()) {
    if (map.size <= most) return
    map.delete(key)
  }
}
