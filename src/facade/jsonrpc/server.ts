import { JSONRPCServer, type JSONRPCRequest } from 'json-rpc-2.0'
import type { Origin, Services, Session } from '../../engine/services.ts'
import { dispatch, lookUp, method, NOBODY, type Call, type Table } from '../facade.ts'
import { refuseJson } from '../json-guard.ts'
import { createStarts } from '../starts.ts'
import {
  errorReply,
  invalidRequest,
  noMethod,
  parseError,
  rpcErrorOf,
  type ReportInternal,
  type RpcError,
  type RpcId,
} from './errors.ts'
import { methods } from './methods.ts'
import { openrpcOf, type OpenRpcDocument } from './openrpc.ts'
import { none, openrpcDocument } from './schemas.ts'

export const MAX_BATCH = 20

export interface RpcOptions {
  readonly services: Services
  readonly report: ReportInternal
  readonly newId?: () => string
}

/**
 * What the transport sends: `status` is 400 when the text reached no method, 401 when it reached none that is open
 * to strangers, 429 when the caller must wait. No body: only notifications, or (401) the transport's own.
 */
export interface RpcAnswer {
  readonly status: 200 | 204 | 400 | 401 | 429
  readonly body?: unknown
  readonly retryAfterMs?: number
}

/** Who sent the text, and from where. */
export interface Sender {
  readonly session: Session
  readonly origin: Origin
  /** The transport's idempotency key; it counts for a single request only. */
  readonly key?: string
}

export interface RpcServer {
  readonly document: OpenRpcDocument
  /** Names of all methods that are answered. */
  readonly methods: readonly string[]
  /** Never throws. */
  handle(text: string, sender: Sender): Promise<RpcAnswer>
}

/** A JSON-RPC id that is a UUID names its request for good: it serves as the idempotency key. */
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

export function createRpcServer(options: RpcOptions): RpcServer {
  const document = openrpcOf(methods, options.services.version)
  const discover = method({
    role: 'viewer',
    summary: 'This description.',
    params: none,
    result: openrpcDocument,
    run: () => ({ ...document }),
  })
  const table: Table = { ...methods, 'rpc.discover': discover }
  const core = createCore(table, options)
  const starts = createStarts()
  return {
    document,
    methods: Object.keys(table),
    async handle(text, { session, origin, key }) {
      const read = readText(text)
      if (session === NOBODY && ('answer' in read || !isOpen(table, read.value))) return { status: 401 }
      if ('answer' in read) return read.answer
      const call = { session, origin, starts }
      if (!Array.isArray(read.value)) return answerOne(core, read.value, key === undefined ? call : { ...call, key })
      return answerBatch(core, read.value, call)
    },
  }
}

/** Whether this is one request for a method that needs no token. */
function isOpen(table: Table, value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || !('method' in value)) return false
  return typeof value.method === 'string' && lookUp(table, value.method)?.role === 'anyone'
}

/** The library does the protocol; each name of the table is one method of it. */
function createCore(table: Table, { services, report, newId }: RpcOptions): JSONRPCServer<Call> {
  const core = new JSONRPCServer<Call>({ errorListener: () => undefined }) // errors are mapped and reported below
  core.handleMethodNotFound = async ({ id }) => (id === undefined ? null : noMethod(id))
  for (const name of Object.keys(table)) {
    const found = lookUp(table, name)
    if (found === null) continue
    core.addMethodAdvanced(name, async ({ id, params }, call) => {
      try {
        const origin = { ...call.origin, method: name }
        const result: unknown = await dispatch(found, services, params, { ...call, origin })
        return id === undefined ? null : { jsonrpc: '2.0', id, result }
      } catch (error) {
        const mapped = rpcErrorOf(error, report, newId)
        return id === undefined ? null : errorReply(id, mapped)
      }
    })
  }
  return core
}

function readText(text: string): { value: unknown } | { answer: RpcAnswer } {
  const reason = refuseJson(text)
  if (reason !== null) return { answer: { status: 400, body: invalidRequest(reason) } }
  try {
    return { value: JSON.parse(text) }
  } catch {
    return { answer: { status: 400, body: parseError() } } // the parser's words quote the input
  }
}

async function answerOne(core: JSONRPCServer<Call>, value: unknown, call: Call): Promise<RpcAnswer> {
  const body = await receive(core, value, call)
  if (body === null) return { status: 204 }
  const wait = waitOf(body)
  return wait === null ? { status: 200, body } : { status: 429, body, retryAfterMs: wait }
}

/** How long the caller is asked to wait, if that is what the reply says. Milliseconds. */
function waitOf(reply: unknown): number | null {
  const { error } = reply as { error?: RpcError }
  if (error?.data?.['code'] !== 'TOO_MANY_REQUESTS') return null
  return Number(error.data['retryAfterMs'] ?? 1_000)
}

/** One after the other, in their order: two steps of one job in a batch must not race. */
async function answerBatch(core: JSONRPCServer<Call>, entries: unknown[], call: Call): Promise<RpcAnswer> {
  if (entries.length === 0) return { status: 200, body: invalidRequest('the batch is empty') }
  if (entries.length > MAX_BATCH) {
    return { status: 200, body: invalidRequest(`a batch holds at most ${MAX_BATCH} requests`) }
  }
  const replies: unknown[] = []
  for (const entry of entries) {
    const reply = await receive(core, entry, call)
    if (reply !== null) replies.push(reply)
  }
  return replies.length === 0 ? { status: 204 } : { status: 200, body: replies }
}

async function receive(core: JSONRPCServer<Call>, value: unknown, call: Call): Promise<unknown> {
  const checked = checkRequest(value)
  if ('complaint' in checked) return invalidRequest(checked.complaint, checked.id)
  const { request } = checked
  const key = typeof request.id === 'string' && UUID.test(request.id) ? request.id : undefined
  return core.receive(request, call.key === undefined && key !== undefined ? { ...call, key } : call)
}

type Checked = { request: JSONRPCRequest } | { complaint: string; id: RpcId }

/** What the library takes on trust. A fresh object goes on: only the members that mean something. */
function checkRequest(value: unknown): Checked {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return { complaint: 'a request is an object', id: null }
  const { jsonrpc, method: name, params, id } = value as Record<string, unknown>
  if (id !== undefined && !isId(id)) return { complaint: 'id must be a string, a number or null', id: null }
  const known: RpcId = id ?? null
  if (jsonrpc !== '2.0') return { complaint: 'jsonrpc must be "2.0"', id: known }
  if (typeof name !== 'string') return { complaint: 'method must be a string', id: known }
  if (params !== undefined && typeof params !== 'object') return { complaint: 'params must be an object', id: known }
  return {
    request: {
      jsonrpc: '2.0',
      method: name,
      ...(params === undefined ? {} : { params }),
      ...(id === undefined ? {} : { id }),
    },
  }
}

function isId(id: unknown): id is RpcId {
  if (typeof id === 'string') return id.length <= 256
  return id === null || (typeof id === 'number' && Number.isFinite(id))
}
