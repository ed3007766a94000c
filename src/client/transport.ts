import type { Clock } from '../lib/clock.ts'
import { ConnectionError, RatchetError } from './errors.ts'

export type Fetch = (url: string, init: RequestInit) => Promise<Response>

export interface Target {
  /** Address of the server, with or without `/rpc`. */
  readonly url: string
  readonly token: string
  readonly fetch: Fetch
  readonly clock: Clock
}

export interface Request {
  readonly id: string
  readonly method: string
  readonly params?: object
}

/** `http://host:port` or `…/rpc` → the address of the wire. */
export function endpointOf(url: string): string {
  const parsed = new URL(url)
  if (!parsed.pathname.endsWith('/rpc')) parsed.pathname = `${parsed.pathname.replace(/\/+$/, '')}/rpc`
  return parsed.href
}

/** One exchange. RatchetError: the server's refusal; ConnectionError: nothing that can be relied on. */
export async function exchange(target: Target, request: Request, signal?: AbortSignal): Promise<unknown> {
  const { status, text, retryAfter } = await send(target, request, signal)
  const reply = parse(text)
  // A refusal under 5xx comes from something in front, whatever its body says.
  if (status >= 500 || status === 429 || status === 408) throw notNow(status, waitOf(retryAfter, target.clock))
  // At the door the id is not yet known, so a refusal may come without it; a result may not.
  const mine = reply !== null && (reply.id === request.id || (reply.id === null && reply.error !== undefined))
  if (!mine)
    throw status >= 400
      ? new RatchetError(`the server answered HTTP ${status}`, 0)
      : new ConnectionError(`not a reply to this call (HTTP ${status})`)
  if (reply.error !== undefined) throw new RatchetError(reply.error.message, reply.error.code, reply.error.data)
  return reply.result
}

/** Nothing was done: the same call may be made again. */
export function notNow(status: number, retryAfterMs: number | null): ConnectionError {
  const wait = retryAfterMs === null ? '' : `; it asks to wait ${Math.ceil(retryAfterMs / 1000)} s`
  const why = status === 429 ? 'too many calls, or too many wrong tokens, from this address' : 'the server answered'
  return new ConnectionError(`${why} (HTTP ${status})${wait}`, { retryAfterMs, status })
}

interface Raw {
  status: number
  text: string
  retryAfter: string | null
}

async function send(target: Target, request: Request, signal?: AbortSignal): Promise<Raw> {
  try {
    const response = await target.fetch(target.url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(target.token === '' ? {} : { authorization: `Bearer ${target.token}` }),
      },
      body: JSON.stringify({ jsonrpc: '2.0', ...request }),
      redirect: 'error', // the token goes to this address and to no other
      ...(signal === undefined ? {} : { signal }),
    })
    return { status: response.status, text: await response.text(), retryAfter: response.headers.get('retry-after') }
  } catch (error) {
    signal?.throwIfAborted()
    throw new ConnectionError(`no answer from ${target.url}: ${reasonOf(error)}`, { cause: error })
  }
}

/** `fetch failed` says nothing; its cause does. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error && error.cause.message !== '' ? error.cause.message : error.message
}

interface Reply {
  id: unknown
  result?: unknown
  error?: { code: number; message: string; data: Record<string, unknown> }
}

/** A JSON-RPC reply, or null for anything else. */
function parse(text: string): Reply | null {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return null // a proxy's page, or half a body
  }
  if (!isObject(value) || value['jsonrpc'] !== '2.0') return null
  const { id = null, result, error } = value
  if (error === undefined) return result === undefined ? null : { id, result }
  if (!isObject(error) || typeof error['code'] !== 'number') return null
  const data = isObject(error['data']) ? error['data'] : {}
  return { id, error: { code: error['code'], message: String(error['message']), data } }
}

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Retry-After in seconds or as a date. */
export function waitOf(header: string | null, clock: Clock): number | null {
  if (header === null) return null
  const seconds = Number(header)
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - clock.wall()
  return Number.isFinite(ms) ? Math.max(0, ms) : null
}
