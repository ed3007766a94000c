import type { IncomingMessage } from 'node:http'
import { BlockList, isIP, isIPv6 } from 'node:net'

/** The address a request counts under. */
export type PeerReader = (request: IncomingMessage) => string

/**
 * The peer itself: what a header claims counts only when the peer is one of our proxies, and then the last address
 * in it that is not a proxy of ours, since everything before that was written by whoever asked.
 */
export function createPeerReader(trusted: readonly string[]): PeerReader {
  const proxies = listOf(trusted)
  return (request) => {
    const peer = request.socket.remoteAddress ?? 'unknown'
    if (!isIn(proxies, peer)) return peer
    const header = request.headers['x-forwarded-for']
    const hops = (Array.isArray(header) ? header.join(',') : (header ?? '')).split(',').map((hop) => hop.trim())
    for (const hop of hops.toReversed()) {
      if (isIP(hop) === 0) break // a proxy of ours would have written an address
      if (!isIn(proxies, hop)) return hop
    }
    return peer
  }
}

/** Whether the client spoke TLS, as far as one of our proxies says so. */
export function createTlsReader(trusted: readonly string[]): (request: IncomingMessage) => boolean {
  const proxies = listOf(trusted)
  return ({ headers, socket }) =>
    headers['x-forwarded-proto'] === 'https' && isIn(proxies, socket.remoteAddress ?? 'unknown')
}

/** `192.0.2.1`, `2001:db8::/32`. */
function listOf(entries: readonly string[]): BlockList {
  const list = new BlockList()
  for (const entry of entries) {
    const [address = '', prefix] = entry.split('/')
    const family = isIPv6(address) ? 'ipv6' : 'ipv4'
    if (prefix === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(prefix), family)
  }
  return list
}

/** Also for an IPv4 address in its IPv6 form. */
const isIn = (list: BlockList, address: string): boolean =>
  isIP(address) !== 0 && list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
