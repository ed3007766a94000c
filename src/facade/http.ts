import type { IncomingMessage } from 'node:http'
import express, { type ErrorRequestHandler, type Express, type RequestHandler, type Response } from 'express'
import helmet from 'helmet'
import { nanoid } from 'nanoid'
import type { Services, Session } from '../engine/services.ts'
import { BackupError, type ErrorCode } from '../lib/errors.ts'
import { readBody } from './body.ts'
import { markAuthenticated } from './connections.ts'
import { createHostCheck } from './host.ts'
import { refusal, type ReportInternal } from './jsonrpc/errors.ts'
import { createRpcServer, type RpcServer } from './jsonrpc/server.ts'

/** Slows down whoever guesses tokens. Implemented by `access`. */
export interface Guard {
  /** How long the address must still wait. Milliseconds. */
  waitMs(address: string): number
  failed(address: string): void
}

export interface HttpOptions {
  readonly services: Services
  readonly guard: Guard
  /** Host names answered besides the loopback ones. */
  readonly hosts?: readonly string[]
  /** Takes faults of the program with the id that the client was shown. */
  readonly report?: ReportInternal
  readonly newId?: () => string
}

/** Everything a browser could be talked into, switched off. HSTS is for whoever speaks TLS in front. */
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
  strictTransportSecurity: false,
  crossOriginOpenerPolicy: { policy: 'same-origin' },
  crossOriginResourcePolicy: { policy: 'same-origin' },
  referrerPolicy: { policy: 'no-referrer' },
})

const noStore: RequestHandler = (_request, response, next) => {
  response.set('Cache-Control', 'no-store')
  next()
}

/** The whole HTTP face. Order matters: host, then route and method, then token, then type, then body. */
export function createHttpApp(options: HttpOptions): Express {
  const report: ReportInternal = options.report ?? ((id, error) => console.error(`internal error ${id}:`, error))
  const newId = options.newId ?? nanoid
  const rpc = createRpcServer({ services: options.services, report, newId })
  const authenticate = createAuthentication(options)
  const app = express()
  app.disable('x-powered-by')
  app.set('etag', false)
  app.set('query parser', false)
  app.set('case sensitive routing', true)
  app.set('strict routing', true)
  app.use(headers, noStore, checkHost(options.hosts))
  app
    .route('/health')
    .get((_request, response) => void response.json({ status: 'ok' }))
    .all(only('GET, HEAD'))
  app
    .route('/openrpc.json')
    .get(authenticate, (_request, response) => void response.json(rpc.document))
    .all(only('GET, HEAD'))
  app.route('/rpc').post(authenticate, requireJson, answer(rpc)).all(only('POST'))
  app.use((_request, response) => refuse(response, 404, 'BAD_REQUEST', 'there is nothing here'))
  app.use(lastResort(report, newId))
  return app
}

function refuse(response: Response, status: number, code: ErrorCode, message: string): void {
  response.status(status).json(refusal(code, message))
}

function checkHost(names: readonly string[] | undefined): RequestHandler {
  const known = createHostCheck(names)
  return (request, response, next) => {
    if (known(request)) return next()
    refuse(response, 421, 'FORBIDDEN', 'this host name is not served here')
  }
}

const only =
  (allowed: string): RequestHandler =>
  (_request, response) => {
    response.set('Allow', allowed)
    refuse(response, 405, 'BAD_REQUEST', `only ${allowed} is answered here`)
  }

const BEARER = /^Bearer ([\x21-\x7e]+)$/i

/** One body for every refusal: a missing and a wrong token look alike. */
function createAuthentication({ services, guard }: HttpOptions): RequestHandler {
  return (request, response, next) => {
    const address = request.socket.remoteAddress ?? 'unknown'
    const wait = guard.waitMs(address)
    if (wait > 0) {
      response.set('Retry-After', String(Math.ceil(wait / 1000)))
      return refuse(response, 429, 'UNAUTHORIZED', 'too many wrong tokens; wait')
    }
    const token = BEARER.exec(request.headers.authorization ?? '')?.[1]
    const session = services.access.authenticate(token)
    if (session !== null) {
      markAuthenticated(request.socket)
      response.locals['session'] = session
      return next()
    }
    if (token !== undefined) guard.failed(address)
    response.set('WWW-Authenticate', 'Bearer')
    refuse(response, 401, 'UNAUTHORIZED', 'the access token is missing or wrong')
  }
}

const JSON_TYPE = /^application\/json *(; *charset *= *"?utf-8"?)?$/i

/** Plain text and forms can be sent by any page without asking; JSON cannot. */
const requireJson: RequestHandler = (request, response, next) => {
  const encoding = request.headers['content-encoding'] ?? 'identity'
  if (encoding === 'identity' && JSON_TYPE.test(request.headers['content-type'] ?? '')) return next()
  refuse(response, 415, 'BAD_REQUEST', 'only uncompressed application/json is read here')
}

const answer =
  (rpc: RpcServer): RequestHandler =>
  async (request, response) => {
    const text = await readBody(request)
    const session = response.locals['session'] as Session // set by the authentication before us
    const { status, body } = await rpc.handle(text, session, keyOf(request))
    if (body === undefined) response.status(status).end()
    else response.status(status).json(body)
  }

/** Printable and short, or it is not a key. */
function keyOf(request: IncomingMessage): string | undefined {
  const key = request.headers['idempotency-key']
  return typeof key === 'string' && /^[\x21-\x7e]{1,128}$/.test(key) ? key : undefined
}

const STATUS: Readonly<Partial<Record<ErrorCode, number>>> = { TOO_LARGE: 413, BAD_REQUEST: 400 }

/** Replaces the framework's page, which shows stacks. Express knows error handlers by their four parameters. */
function lastResort(report: ReportInternal, newId: () => string): ErrorRequestHandler {
  return (error: unknown, _request, response, next) => {
    if (response.headersSent) return next(error)
    if (error instanceof BackupError && STATUS[error.code] !== undefined)
      return refuse(response, STATUS[error.code] ?? 400, error.code, error.message)
    const id = newId()
    report(id, error)
    response.status(500).json(refusal('INTERNAL', `Internal error ${id}`))
  }
}
