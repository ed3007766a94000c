import type { IncomingMessage } from 'node:http'
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express'
import helmet from 'helmet'
import { nanoid } from 'nanoid'
import type { Role, Services, Session } from '../engine/services.ts'
import { systemClock, type Clock } from '../lib/clock.ts'
import { BackupError, type ErrorCode } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'
import { MAX_BODY, readBody } from './body.ts'
import { markAuthenticated } from './connections.ts'
import { checkDoor, checkSetUp, tellHsts } from './door.ts'
import { createDownloads } from './download.ts'
import { NOBODY } from './facade.ts'
import { refusal, type ReportInternal } from './jsonrpc/errors.ts'
import { createRpcServer, type RpcServer } from './jsonrpc/server.ts'
import { createPeerReader, createTlsReader, type PeerReader } from './peer.ts'
import { reportTo, requestLog, type Asker } from './request-log.ts'
import { refuse, refuseForNow, refuseStranger, visitorOf, type Visitor } from './refuse.ts'

export interface HttpOptions {
  readonly services: Services
  /** Host names answered besides the loopback ones. */
  readonly hosts?: readonly string[]
  /** Addresses or networks (`10.0.0.0/8`) of proxies whose X-Forwarded-For is believed; default: none. */
  readonly trustedProxies?: readonly string[]
  /** Whoever comes, comes through a proxy that speaks TLS. */
  readonly behindTlsProxy?: boolean
  /** What is asked and how it ends; default: nothing is told. */
  readonly log?: Logger
  readonly clock?: Clock
  /** Takes faults of the program with the id that the client was shown; default: the log, or standard error. */
  readonly report?: ReportInternal
  readonly newId?: () => string
}

/** A route, and what it takes to be answered there. `methods`: each RPC method says so itself. */
export interface Route {
  readonly path: string
  readonly verbs: string
  readonly needs: 'nothing' | Role | 'methods'
}

/** Every route of this face: what is not named here answers 404. */
export const ROUTES = [
  { path: '/health', verbs: 'GET, HEAD', needs: 'nothing' },
  { path: '/openrpc.json', verbs: 'GET, HEAD', needs: 'viewer' },
  { path: '/rpc', verbs: 'POST', needs: 'methods' },
  // A ticket stands in for the token.
  { path: '/download/:backup/:part', verbs: 'GET, HEAD', needs: 'restorer' },
] as const satisfies readonly Route[]

type Path = (typeof ROUTES)[number]['path']

/** Everything a browser could be talked into, switched off. */
const headers = helmet({
  contentSecurityPolicy: {
    useDefaults: false,
    directives: {
      defaultSrc: ["'none'"],
      scriptSrc: ["'self'"],
      styleSrc: ["'self'"],
      imgSrc: ["'self'", 'data:'],
      connectSrc: ["'self'"],
      formAction: ["'self'"],
      baseUri: ["'none'"],
      frameAncestors: ["'none'"],
    },
  },
  strictTransportSecurity: false, // only where TLS is spoken
  crossOriginOpenerPolicy: { policy: 'same-origin' },
  crossOriginResourcePolicy: { policy: 'same-origin' },
  referrerPolicy: { policy: 'no-referrer' },
})

const noStore: RequestHandler = (_request, response, next) => {
  response.set('Cache-Control', 'no-store')
  next()
}

/** The whole HTTP face. Order matters: host and origin, then route and method, then token, then type, then body. */
export function createHttpApp(options: HttpOptions): Express {
  const { log = SILENT, clock = systemClock } = options
  const report: ReportInternal = options.report ?? (options.log === undefined ? toConsole : reportTo(log))
  const newId = options.newId ?? nanoid
  const rpc = createRpcServer({ services: options.services, report, newId })
  const enter = createEntrance(options)
  const isSetUp = (): boolean => options.services.accounts.isSetUp()
  const known = requireToken(enter, isSetUp)
  const handlers: Readonly<Record<Path, RequestHandler[]>> = {
    '/health': [(_request, response) => void response.json({ status: 'ok' })],
    '/openrpc.json': [known, (_request, response) => void response.json(rpc.document)],
    '/rpc': [enter, requireJson(isSetUp), answer(rpc, isSetUp)],
    '/download/:backup/:part': [enter, createDownloads(options.services)],
  }
  const app = express()
  app.disable('x-powered-by')
  app.set('etag', false)
  app.set('query parser', false)
  app.set('case sensitive routing', true)
  app.set('strict routing', true)
  const saysTls = createTlsReader(options.trustedProxies ?? [])
  const hsts = tellHsts((request) => options.behindTlsProxy === true || saysTls(request))
  app.use(
    requestLog(log, clock, ROUTES, askerOf),
    headers,
    hsts,
    noStore,
    checkDoor(options.hosts),
    checkSetUp(isSetUp),
  )
  for (const { path, verbs } of ROUTES) {
    const route = app.route(path)
    if (verbs === 'POST') route.post(...handlers[path])
    else route.get(...handlers[path])
    route.all(only(verbs))
  }
  app.use((_request, response) => refuse(response, 404, 'BAD_REQUEST', 'there is nothing here'))
  app.use(lastResort(report, newId))
  return app
}

const only =
  (allowed: string): RequestHandler =>
  (_request, response) => {
    response.set('Allow', allowed)
    refuse(response, 405, 'BAD_REQUEST', `only ${allowed} is answered here`)
  }

const BEARER = /^Bearer ([\x21-\x7e]+)$/i

const SILENT: Logger = { log: () => undefined }
/** Whoever wants no log still hears of faults. */
const toConsole: ReportInternal = (id, error) => console.error(`internal error ${id}:`, error)

const askerOf: Asker = (response) => {
  const visitor = response.locals['visitor'] as Visitor | undefined
  if (visitor === undefined) return null
  const { address, request } = visitor.origin
  return { user: visitor.session.name, address, ...(request === undefined ? {} : { request }) }
}

/** Who calls: a token that is sent must be right; who sends none is nobody. */
function createEntrance({ services, trustedProxies = [], newId = nanoid }: HttpOptions): RequestHandler {
  const peerOf: PeerReader = createPeerReader(trustedProxies)
  return (request, response, next) => {
    const origin = { face: 'http', address: peerOf(request), request: newId() }
    const token = BEARER.exec(request.headers.authorization ?? '')?.[1]
    let session: Session | null
    try {
      session = services.access.enter(token, origin)
    } catch (error) {
      const wait =
        error instanceof BackupError && error.code === 'TOO_MANY_REQUESTS' ? error.data['retryAfterMs'] : null
      return wait === null ? next(error) : refuseForNow(response, Number(wait ?? 1_000))
    }
    if (session === null && token !== undefined) return refuseStranger(response, () => services.accounts.isSetUp())
    if (session !== null) markAuthenticated(request.socket)
    response.locals['visitor'] = { session: session ?? NOBODY, origin } satisfies Visitor
    next()
  }
}

/** For routes that nobody without a token has any business at. */
const requireToken =
  (enter: RequestHandler, isSetUp: () => boolean): RequestHandler =>
  (request, response, next) =>
    enter(request, response, (error?: unknown) => {
      if (error !== undefined) return next(error)
      if (visitorOf(response).session === NOBODY) return refuseStranger(response, isSetUp)
      next()
    })

const JSON_TYPE = /^application\/json *(; *charset *= *"?utf-8"?)?$/i

/** Plain text and forms can be sent by any page without asking; JSON cannot. */
const requireJson =
  (isSetUp: () => boolean): RequestHandler =>
  (request, response, next) => {
    const encoding = request.headers['content-encoding'] ?? 'identity'
    if (encoding === 'identity' && JSON_TYPE.test(request.headers['content-type'] ?? '')) return next()
    if (visitorOf(response).session === NOBODY) return refuseStranger(response, isSetUp)
    refuse(response, 415, 'BAD_REQUEST', 'only uncompressed application/json is read here')
  }

/** Enough for a login. */
const STRANGERS_BODY = 8 * 1024

const answer =
  (rpc: RpcServer, isSetUp: () => boolean): RequestHandler =>
  async (request, response) => {
    const visitor = visitorOf(response)
    const text = await readBody(request, visitor.session === NOBODY ? STRANGERS_BODY : MAX_BODY)
    const key = keyOf(request)
    const { status, body, retryAfterMs } = await rpc.handle(text, key === undefined ? visitor : { ...visitor, key })
    if (status === 401) return refuseStranger(response, isSetUp)
    if (retryAfterMs !== undefined) response.set('Retry-After', String(Math.max(1, Math.ceil(retryAfterMs / 1000))))
    if (body === undefined) response.status(status).end()
    else response.status(status).json(body)
  }

/** Printable and short, or it is not a key. */
function keyOf(request: IncomingMessage): string | undefined {
  const key = request.headers['idempotency-key']
  return typeof key === 'string' && /^[\x21-\x7e]{1,128}$/.test(key) ? key : undefined
}

const STATUS: Readonly<Partial<Record<ErrorCode, number>>> = { TOO_LARGE: 413, BAD_REQUEST: 400, TIMED_OUT: 408 }

/** Replaces the framework's page, which shows stacks. Express knows error handlers by their four parameters. */
function lastResort(report: ReportInternal, newId: () => string): ErrorRequestHandler {
  return (error: unknown, _request, response, next) => {
    if (response.headersSent) return next(error)
    if (error instanceof URIError) return refuse(response, 404, 'BAD_REQUEST', 'there is nothing here')
    if (error instanceof BackupError && STATUS[error.code] !== undefined)
      return refuse(response, STATUS[error.code] ?? 400, error.code, error.message)
    const id = newId()
    report(id, error)
    response.status(500).json(refusal('INTERNAL', `Internal error ${id}`))
  }
}
