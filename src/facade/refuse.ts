import type { Response } from 'express'
import type { Origin, Session } from '../engine/services.ts'
import type { ErrorCode } from '../lib/errors.ts'
import { refusal } from './jsonrpc/errors.ts'

/** Who called, and from where, as the entrance found out. */
export interface Visitor {
  readonly session: Session
  readonly origin: Origin
}

export const visitorOf = (response: Response): Visitor => response.locals['visitor'] as Visitor // set by the entrance

/** `hint`: other than the one of the code. */
export function refuse(response: Response, status: number, code: ErrorCode, message: string, hint?: string): void {
  response.status(status).json(refusal(code, message, hint))
}

const BEFORE_SETUP = 'until the method setUp has made the first user, only the token file of the server counts'

/** One body for every refusal: a missing, wrong, expired and revoked token look alike. */
export function refuseStranger(response: Response, isSetUp: () => boolean): void {
  if (!isSetUp()) return refuse(response, 403, 'FORBIDDEN', BEFORE_SETUP)
  response.set('WWW-Authenticate', 'Bearer')
  refuse(response, 401, 'UNAUTHORIZED', 'the access token is missing or wrong')
}

export function refuseForNow(response: Response, waitMs: number): void {
  response.set('Retry-After', String(Math.max(1, Math.ceil(waitMs / 1000))))
  refuse(response, 429, 'TOO_MANY_REQUESTS', 'too many calls, or too many wrong tokens; wait')
}
