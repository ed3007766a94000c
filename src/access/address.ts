import { isIPv6 } from 'node:net'

const LOOPBACK = '127.0.0.1'

export const isLoopback = (address: string): boolean => address === '::1' || /^127(\.\d{1,3}){3}$/.test(address)

/**
 * One key for what one guesser can easily vary: any user of this machine has 16 million loopback addresses, which are
 * one; a mapped IPv4 address is that address, an IPv6 one its /64.
 */
export function addressKey(address: string): string {
  const plain = address.toLowerCase().replace(/%.*$/, '')
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(plain)?.[1] ?? plain
  if (isLoopback(mapped)) return LOOPBACK
  if (mapped !== plain || !isIPv6(plain)) return mapped
  const [head = '', tail] = plain.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length)
  return [...left, ...Array.from({ length: zeros }, () => '0'), ...right].slice(0, 4).join(':') + '::/64'
}
