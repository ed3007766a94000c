import type { Fetch } from '../../src/client/transport.ts'
import type { Clock } from '../../src/lib/clock.ts'

/** A clock whose sleeps take no time; what was slept is kept. */
export function fakeClock(): Clock & { readonly slept: number[] } {
  let now = 0
  const slept: number[] = []
  return {
    slept,
    wall: () => 1_782_727_845_000 + now,
    mono: () => now,
    async sleep(ms) {
      slept.push(ms)
      now += ms
    },
  }
}

/**
 * What befalls one exchange:
 * `.` nothing · `r` refused, the server never hears of it · `l` done, but the reply is lost ·
 * `h` done, half the reply arrives · `b` 502 before · `B` 502 after it was done · `p` a page instead ·
 * `w` the wrong reply
 */
export type Fault = '.' | 'r' | 'l' | 'h' | 'b' | 'B' | 'p' | 'w'

/** A fetch that goes wrong as the string says, one letter per call, then no more. */
export function faultyFetch(faults: string): Fetch & { calls: number } {
  const faulty = async (url: string, init: RequestInit): Promise<Response> => {
    const fault = (faults[faulty.calls++] ?? '.') as Fault
    if (fault === 'r') throw new TypeError('fetch failed', { cause: new Error('connect ECONNREFUSED') })
    if (fault === 'b') return new Response('<h1>Bad Gateway</h1>', { status: 502 })
    const real = await fetch(url, init)
    if (fault === '.') return real
    const text = await real.text()
    if (fault === 'l') throw new TypeError('fetch failed', { cause: new Error('read ECONNRESET') })
    if (fault === 'B') return new Response(text, { status: 502 })
    if (fault === 'h') return new Response(text.slice(0, text.length / 2), { status: 200 })
    if (fault === 'p') return new Response('<html>please log in</html>', { status: 200 })
    return new Response('{"jsonrpc":"2.0","id":"other","result":{}}', { status: 200 })
  }
  faulty.calls = 0
  return faulty
}
