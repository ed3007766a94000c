import type { IncomingMessage } from 'node:http'

/**
 * Browsers say which site a request comes from. No other site has any business here: its page could not read the
 * answers, but use up what this machine may ask in a minute. Programs, which say nothing, pass.
 */
export function createOriginCheck(names: readonly string[]): (request: IncomingMessage) => boolean {
  const proxied = new Set(names.map((name) => `https://${name.toLowerCase()}`))
  return ({ headers }) => {
    const { origin, host = '' } = headers
    const site = headers['sec-fetch-site'] ?? 'none'
    if (site !== 'none' && site !== 'same-origin') return false
    if (origin === undefined) return true
    const own = host.toLowerCase()
    return origin === `http://${own}` || origin === `https://${own}` || proxied.has(origin)
  }
}
