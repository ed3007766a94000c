import { isIPv6 } from 'node:net'
import type { Clock } from '../lib/clock.ts'

/**
 * Slows guessing down: after a few wrong tokens an address waits, longer each time. Monotonic time
 * only, so a jump of the clock frees nobody. A right token clears nothing: whoever shares its address
 * would guess on for free. Memory is bounded: beyond `maxAddresses` the one that failed longest ago is
 * forgotten.
 */
export interface GuardOptions {
  readonly clock: Clock
  /** Wrong tokens before the first wait. */
  readonly free?: number
  readonly firstDelayMs?: number
  readonly maxDelayMs?: number
  /** Loopback: every local user and a proxy's clients share the address, so the wait stays short. */
  readonly maxLoopbackDelayMs?: number
  /** After this long without a failure an address starts afresh. */
  readonly forgetMs?: number
  readonly maxAddresses?: number
}

interface Entry {
  failures: number
  blockedUntil: number
  lastFailure: number
}

const DEFAULTS = {
  free: 5,
  firstDelayMs: 1_000,
  maxDelayMs: 15 * 60_000,
  maxLoopbackDelayMs: 60_000,
  forgetMs: 30 * 60_000,
  maxAddresses: 4_096,
}

export class AttemptGuard {
  readonly #clock: Clock
  readonly #options: typeof DEFAULTS
  /** In the order of their last failure. */
  readonly #entries = new Map<string, Entry>()

  constructor(options: GuardOptions) {
    const { clock, ...rest } = options
    this.#clock = clock
    this.#options = { ...DEFAULTS, ...rest }
  }

  /** How long this address must still wait before its token is looked at. Milliseconds; 0: go on. */
  waitMs(address: string): number {
    const entry = this.#entries.get(keyOf(address))
    return entry === undefined ? 0 : Math.max(0, entry.blockedUntil - this.#clock.mono())
  }

  /** Notes a wrong token. */
  failed(address: string): void {
    const key = keyOf(address)
    const now = this.#clock.mono()
    const known = this.#entries.get(key)
    const fresh = known === undefined || now - known.lastFailure > this.#options.forgetMs
    const failures = fresh ? 1 : known.failures + 1
    this.#entries.delete(key)
    this.#entries.set(key, { failures, lastFailure: now, blockedUntil: now + this.#delay(key, failures) })
    this.#trim()
  }

  get size(): number {
    return this.#entries.size
  }

  #delay(key: string, failures: number): number {
    const { free, firstDelayMs, maxDelayMs, maxLoopbackDelayMs } = this.#options
    if (failures < free) return 0
    const most = isLoopback(key) ? Math.min(maxLoopbackDelayMs, maxDelayMs) : maxDelayMs
    return Math.min(most, firstDelayMs * 2 ** Math.min(30, failures - free))
  }

  #trim(): void {
    for (const key of this.#entries.keys()) {
      if (this.#entries.size <= this.#options.maxAddresses) return
      this.#entries.delete(key)
    }
  }
}

export const isLoopback = (address: string): boolean => address === '::1' || /^127(\.\d{1,3}){3}$/.test(address)

/** One key for what one guesser can easily vary: a mapped IPv4 address is that address, an IPv6 one its /64. */
function keyOf(address: string): string {
  const plain = address.toLowerCase().replace(/%.*$/, '')
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(plain)?.[1]
  if (mapped !== undefined) return mapped
  if (!isIPv6(plain) || plain === '::1') return plain
  const [head = '', tail] = plain.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length)
  return [...left, ...Array.from({ length: zeros }, () => '0'), ...right].slice(0, 4).join(':') + '::/64'
}
