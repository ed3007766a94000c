import type { IncomingMessage } from 'node:http'
import type { RequestHandler } from 'express'
import { createHostCheck } from './host.ts'
import { createOriginCheck } from './origin.ts'
import { refuse, refuseStranger } from './refuse.ts'

/** What every request passes before it is routed, whoever sends it. */

/** Lines of a request's headers. Node cuts the rest off in silence: the server must let one more through than this. */
export const MOST_HEADERS = 100

export function checkDoor(names: readonly string[] = []): RequestHandler {
  const isOurs = createHostCheck(names)
  const isSameOrigin = createOriginCheck(names)
  return (request, response, next) => {
    if (request.rawHeaders.length > 2 * MOST_HEADERS)
      return refuse(response, 431, 'TOO_LARGE', `more than ${MOST_HEADERS} header lines`)
    if (!isOurs(request)) return refuse(response, 421, 'FORBIDDEN', 'this host name is not served here')
    if (!isSameOrigin(request)) return refuse(response, 403, 'FORBIDDEN', 'other sites are not answered here')
    next()
  }
}

/** A year: once seen, browsers speak TLS with this name and nothing else. */
const HSTS = 'max-age=31536000'

/** Told to whoever came over TLS: the proxy in front says so, or the settings say so of all that come. */
export const tellHsts =
  (cameOverTls: (request: IncomingMessage) => boolean): RequestHandler =>
  (request, response, next) => {
    if (cameOverTls(request)) response.set('Strict-Transport-Security', HSTS)
    next()
  }

/** Until there is a user, whoever shows nothing gets one answer everywhere but where it says that it lives, and is set up. */
export const checkSetUp =
  (isSetUp: () => boolean): RequestHandler =>
  (request, response, next) => {
    const open =
      request.path === '/health' ||
      (request.path === '/rpc' && request.method === 'POST') ||
      request.path.startsWith('/download/') // a ticket may say who comes
    if (open || request.headers.authorization !== undefined || isSetUp()) return next()
    refuseStranger(response, isSetUp)
  }
