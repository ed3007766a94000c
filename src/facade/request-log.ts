import type { RequestHandler, Response } from 'express'
import type { Clock } from '../lib/clock.ts'
import { asBackupError } from '../lib/errors.ts'
import type { LogLevel } from '../lib/log-level.ts'
import type { Logger } from '../lib/logger.ts'
import type { ReportInternal } from './jsonrpc/errors.ts'

/** Who asked, where that is known: the entrance of the wire has found it out. */
export type Asker = (response: Response) => { user: string; address: string; request?: string } | null

/**
 * One line for each request, when it has been answered: where to, by whom, how it ended and how long it took. No
 * headers, no query, no body, and of the path only routes of ours: the rest is a stranger's text.
 */
export function requestLog(
  log: Logger,
  clock: Clock,
  routes: readonly { path: string }[],
  askerOf: Asker,
): RequestHandler {
  const known = new Set(routes.map(({ path }) => path))
  return (request, response, next) => {
    const begun = clock.mono()
    response.once('close', () => {
      const { statusCode: status, writableFinished: whole } = response
      const route = known.has(request.path) ? request.path : 'unknown'
      const ms = Math.round(clock.mono() - begun)
      const facts = { verb: request.method, route, status, ms, ...askerOf(response) }
      log.log(gravityOf(status), `${request.method} ${route} ${status}${whole ? '' : ', hung up'}`, facts)
    })
    next()
  }
}

const gravityOf = (status: number): LogLevel => {
  if (status >= 500) return 'error'
  return status >= 400 ? 'info' : 'debug'
}

/** Faults of the program, under the id that the client was shown. */
export function reportTo(log: Logger): ReportInternal {
  return (id, error) => {
    const { message, code, cause } = asBackupError(error, '')
    const { stack } = cause instanceof Error ? cause : error instanceof Error ? error : {}
    log.log('error', `internal error ${id}: ${message}`, { id, code, stack })
  }
}
