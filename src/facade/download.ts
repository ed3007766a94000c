import type { IncomingMessage } from 'node:http'
import type { RequestHandler, Response } from 'express'
import type { Outgoing, Services, Session } from '../engine/services.ts'
import { nameFromJson } from '../lib/entry-path.ts'
import { BackupError, type ErrorCode } from '../lib/errors.ts'
import { markAuthenticated } from './connections.ts'
import { attachment } from './disposition.ts'
import { ENTRY, purposeOf, requirePart, type Wanted } from './download-target.ts'
import { flow } from './flow.ts'
import { NOBODY, requireRole, type Call } from './facade.ts'
import { jobOf } from './jsonrpc/resolve.ts'
import { listsTag, spanOf, type Span } from './range.ts'
import { refuse, refuseForNow, refuseStranger, visitorOf, type Visitor } from './refuse.ts'
import { noteRefusal, noteDownload } from './trail.ts'

const ROLE = 'restorer'

/** GET and HEAD of a part of an archive, or of a file in it. Refusals come in one shape and tell nothing of what is there. */
export function createDownloads(services: Services): RequestHandler {
  return async (request, response, next) => {
    try {
      await answer(services, request, response)
    } catch (error) {
      if (!(error instanceof BackupError)) return next(error)
      if (response.headersSent) return void response.destroy() // cut: what came cannot be taken for all of it
      refuseWith(services, response, error)
    }
  }
}

const STATUS: Readonly<Partial<Record<ErrorCode, number>>> = {
  BAD_REQUEST: 400,
  FORBIDDEN: 403,
  JOB_NOT_FOUND: 404,
  ARCHIVE_NOT_FOUND: 404,
  ENTRY_NOT_FOUND: 404,
  ARCHIVE_UNSUPPORTED: 422,
  LIMIT_EXCEEDED: 422,
}

const WHERE_TO_LOOK = 'Ask for the backup to see its parts, browse it to see its entries.'

function refuseWith({ accounts }: Services, response: Response, error: BackupError): void {
  const { code, message, hint } = error
  if (code === 'UNAUTHORIZED') return refuseStranger(response, () => accounts.isSetUp())
  if (code === 'TOO_MANY_REQUESTS') return refuseForNow(response, Number(error.data['retryAfterMs'] ?? 1_000))
  for (const name of OF_CONTENT) response.removeHeader(name)
  const status = STATUS[code] ?? 500
  // Missing, foreign, and somebody's path: one body.
  if (status === 404) return refuse(response, 404, code, 'there is no such backup, part or entry', WHERE_TO_LOOK)
  if (status === 500) return refuse(response, 500, code, 'the download failed')
  refuse(response, status, code, message, hint)
}

async function answer(
  services: Services,
  request: IncomingMessage & { params: object },
  response: Response,
): Promise<void> {
  const visitor = visitorOf(response)
  const isStranger = visitor.session === NOBODY && !/[?&]ticket=/.test(request.url ?? '')
  if (isStranger) return refuseStranger(response, () => services.accounts.isSetUp())
  const asked = askedFor(request)
  if (asked.ticket !== null && request.method === 'HEAD') return refuseLook(response)
  const session = sessionOf(services, visitor, asked)
  if (session === NOBODY) return refuseStranger(response, () => services.accounts.isSetUp())
  markAuthenticated(request.socket)
  const origin = { ...visitor.origin, method: 'download' }
  const call: Call = { session, origin, starts: NO_STARTS }
  using _place = services.access.admit(session, 'rate')
  try {
    requireRole(services, call, ROLE)
  } catch (error) {
    noteRefusal(services.audit, call, error)
    throw error
  }
  const { number } = await jobOf(services, { backupid: asked.number ?? asked.backup }, call)
  const wanted: Wanted = 'part' in asked ? { backup: number, part: asked.part } : { backup: number, entry: asked.entry }
  await deliver({ services, call, request, response }, wanted)
}

/** Whatever looks at a link before it follows it (a chat, a mail filter, a download manager) must not use it up. */
function refuseLook(response: Response): void {
  response.set('Allow', 'GET')
  refuse(response, 405, 'BAD_REQUEST', 'a link is answered by GET alone, and once')
}

/** A download starts no job. */
const NO_STARTS: Call['starts'] = {
  start: () => Promise.reject(new BackupError('INTERNAL', 'a download starts no job')),
}

type Asked = ({ readonly part: string } | { readonly entry: Buffer }) & {
  readonly backup: string
  /** Where that is one. */
  readonly number: number | null
  readonly ticket: string | null
}

/** From the address alone. BAD_REQUEST. */
function askedFor(request: IncomingMessage & { params: object }): Asked {
  const { backup = '', part = '' } = request.params as { backup?: string; part?: string }
  const query = new URLSearchParams(/\?(.*)$/s.exec(request.url ?? '')?.[1] ?? '')
  for (const name of ['path', 'ticket'])
    if (query.getAll(name).length > 1) throw new BackupError('BAD_REQUEST', `${name} is there twice`)
  const number = /^[1-9]\d{0,14}$/.test(backup) ? Number(backup) : null
  const common = { backup, number, ticket: query.get('ticket') }
  if (part !== ENTRY) return { ...common, part }
  const path = query.get('path') ?? ''
  if (path === '') throw new BackupError('BAD_REQUEST', 'path is needed: the entry in the archive')
  return { ...common, entry: nameFromJson(path) }
}

/** Who asks: by a ticket, if there is one, whoever made it; a token that comes with it must be his. */
function sessionOf(services: Services, { session, origin }: Visitor, asked: Asked): Session {
  if (asked.ticket === null) return session
  const purpose = purposeOf({ ...asked, backup: asked.number ?? 0 })
  const maker = services.tickets.take(asked.ticket, origin, purpose)
  if (session === NOBODY || session.name === maker.name) return maker
  throw new BackupError('FORBIDDEN', 'this link does not count, or not any more')
}

interface Delivery {
  readonly services: Services
  readonly call: Call
  readonly request: IncomingMessage
  readonly response: Response
}

const OF_CONTENT = ['ETag', 'Accept-Ranges', 'Content-Disposition', 'Content-Range', 'Content-Length', 'Repr-Digest']

/** What is to be sent of something with this tag. Null: the answer has been given. */
function spanWanted({ request, response }: Delivery, etag: string | null, size: number, ranges: boolean): Span | null {
  const { 'if-match': match, 'if-none-match': noneMatch, 'if-range': ifRange, range } = request.headers
  response.set('Accept-Ranges', ranges ? 'bytes' : 'none')
  if (etag !== null) response.set('ETag', etag)
  if (match !== undefined && (etag === null || !listsTag(match, etag, false))) {
    response.status(412).end()
    return null
  }
  if (noneMatch !== undefined && etag !== null && listsTag(noneMatch, etag, true)) {
    response.status(304).end()
    return null
  }
  const counts = ranges && request.method === 'GET' && (ifRange === undefined || ifRange === etag)
  const span = counts ? spanOf(range, size) : 'whole'
  if (span === 'whole') return { from: 0, to: size }
  if (span !== 'refused') {
    response.status(206).set('Content-Range', `bytes ${span.from}-${span.to - 1}/${size}`)
    return span
  }
  response.set('Content-Range', `bytes */${size}`)
  refuse(response, 416, 'BAD_REQUEST', `only one range within ${size} bytes is answered`)
  return null
}

async function deliver(delivery: Delivery, wanted: Wanted): Promise<void> {
  const { services, response } = delivery
  response.set({
    'Content-Security-Policy': "default-src 'none'; sandbox",
    'Cache-Control': 'private, no-store',
  })
  if ('part' in wanted) {
    const part = await requirePart(services, wanted.backup, wanted.part)
    const span = spanWanted(delivery, `"${part.sha256}"`, part.size, true)
    if (span === null) return
    response.set('Repr-Digest', `sha-256=:${Buffer.from(part.sha256, 'hex').toString('base64')}:`)
    const outgoing = await services.archives.openPart(part, span.from, span.to)
    return send(delivery, outgoing, part.name, `job:${wanted.backup} part:${part.name}`)
  }
  const entry = await services.archives.openEntry(wanted.backup, wanted.entry)
  try {
    const etag = entry.digest === null ? null : `"${entry.digest}"`
    if (spanWanted(delivery, etag, entry.size, false) === null) return
    return await send(delivery, entry, wanted.entry.toString('utf8'), `job:${wanted.backup} entry`)
  } finally {
    entry.close()
  }
}

/** Noted before the first byte, and how it ended. */
async function send(delivery: Delivery, outgoing: Outgoing, name: string, object: string): Promise<void> {
  const { services, call, request, response } = delivery
  response.set({
    'Content-Type': 'application/octet-stream',
    'Content-Length': String(outgoing.size),
    'Content-Disposition': attachment(name),
  })
  try {
    if (request.method === 'HEAD') return void response.end()
    const counts = (): boolean => stillCounts(services, call.session)
    await noteDownload(services.audit, call, object, () => flow(outgoing, response, counts))
  } finally {
    outgoing.close()
  }
}

/** A right that was taken away ends what it has begun, too. */
function stillCounts({ access }: Services, session: Session): boolean {
  const now = access.current(session)
  return now !== null && access.allows(now, ROLE)
}
