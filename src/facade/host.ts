import type { IncomingMessage } from 'node:http'

/**
 * Which Host headers are answered. A page in a browser can point a name of its own at our loopback
 * address (DNS rebinding); the header still carries that name, so unknown ones are refused, also on
 * loopback and before anything is routed.
 */
const ALWAYS = ['127.0.0.1', 'localhost', '[::1]']

const HOST = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(\d{1,5}))?$/

export function createHostCheck(names: readonly string[] = []): (request: IncomingMessage) => boolean {
  const allowed = new Set([...ALWAYS, ...names.map((name) => name.toLowerCase())])
  return (request) => {
    // A second Host line, or a whole address as the target, would let two readers see different hosts.
    if (countHosts(request.rawHeaders) !== 1 || request.url?.startsWith('/') !== true) return false
    const match = HOST.exec(request.headers.host?.toLowerCase() ?? '')
    return match?.[1] !== undefined && allowed.has(match[1])
  }
}

function countHosts(raw: readonly string[]): number {
  let count = 0
  for (let i = 0; i < raw.length; i += 2) if (raw[i]?.toLowerCase() === 'host') count++
  return count
}
