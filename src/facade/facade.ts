import type { z } from 'zod'
import { complaintOf } from '../engine/profile-schema.ts'
import type { JobView } from '../engine/job.ts'
import type { Freshness, Origin, Pace, Role, Services, Session, StartRequest } from '../engine/services.ts'
import { BackupError } from '../lib/errors.ts'
import { noteRefusal, trailed, type Trail } from './trail.ts'

/** Who calls, and what came with the call besides its parameters. */
export interface Call {
  readonly session: Session
  readonly origin: Origin
  /** Idempotency key, if the caller sent one. */
  readonly key?: string
  readonly starts: Starts
}

/** The session of whoever has shown nothing: only methods for anyone are open to it. */
export const NOBODY: Session = Object.freeze({
  name: '',
  role: 'none',
  profiles: null,
  kind: 'none',
  id: '',
  loginAt: null,
})

/** Starts jobs; a start repeated under one key is one start. */
export interface Starts {
  start(services: Services, request: StartRequest, call: Call): Promise<JobView>
}

/** One method of a wire. Its schemas validate, describe and type it. */
export interface Method {
  /** The least role; `anyone`: no token is needed. */
  readonly role: Role | 'anyone'
  /** How recent the proof of who calls must be. */
  readonly fresh: Freshness | null
  readonly pace: Pace
  readonly summary: string
  readonly params: z.ZodObject
  readonly result: z.ZodType
  /** Parses the parameters (BAD_REQUEST) and runs. */
  invoke(services: Services, raw: unknown, call: Call): Promise<unknown>
}

export type Table = Readonly<Record<string, Method>>

interface Definition<P extends z.ZodObject, R extends z.ZodType> {
  role: Role | 'anyone'
  /** Default: any valid token or login will do. */
  fresh?: Freshness
  /** Default: `rate`. */
  pace?: Pace
  /** What the audit trail says about it; absent: nothing. */
  trail?: Trail<z.output<P>, z.input<R>>
  summary: string
  params: P
  result: R
  run(services: Services, params: z.output<P>, call: Call): Promise<z.input<R>> | z.input<R>
}

/** Ties the schema to the function: inside `run` the parameters have the schema's type. */
export function method<P extends z.ZodObject, R extends z.ZodType>(definition: Definition<P, R>): Method {
  const { role, fresh = null, pace = 'rate', trail, summary, params, result, run } = definition
  return {
    role,
    fresh,
    pace,
    summary,
    params,
    result,
    async invoke(services, raw, call) {
      const parsed = parseParams(params, raw)
      const work = async (): Promise<z.input<R>> => run(services, parsed, call)
      return trail === undefined ? work() : trailed(services.audit, call, trail, parsed, work)
    },
  }
}

/** Absent and null parameters are none at all. */
function parseParams<P extends z.ZodObject>(schema: P, raw: unknown): z.output<P> {
  const parsed = schema.safeParse(raw ?? {})
  if (parsed.success) return parsed.data
  const parameter = parsed.error.issues[0]?.path.map(String).join('.').slice(0, 100)
  throw new BackupError('BAD_REQUEST', `invalid parameters: ${complaintOf(parsed.error)}`, {
    cause: parsed.error,
    ...(parameter === undefined || parameter === '' ? {} : { data: { parameter } }),
  })
}

/** Only the table's own names: `constructor` and `__proto__` are no methods. */
export function lookUp(table: Table, name: string): Method | null {
  return Object.hasOwn(table, name) ? (table[name] ?? null) : null
}

/**
 * One call, on whatever wire it came: role, freshness, how often and how many at once, parameters, work. FORBIDDEN,
 * TOO_MANY_REQUESTS, BAD_REQUEST, and whatever the method throws.
 */
export async function dispatch(found: Method, services: Services, raw: unknown, call: Call): Promise<unknown> {
  if (found.role === 'anyone') return found.invoke(services, raw, call)
  using _place = services.access.admit(call.session, found.pace)
  try {
    requireRole(services, call, found.role)
    if (found.fresh !== null) requireFresh(services, call, found.fresh)
    return await found.invoke(services, raw, call)
  } catch (error) {
    noteRefusal(services.audit, call, error)
    throw error
  }
}

export function requireRole(services: Services, call: Call, role: Role): void {
  if (!services.access.allows(call.session, role))
    throw new BackupError('FORBIDDEN', `this needs the role ${role}`, { data: { role } })
}

/** Some things a stolen token or a forgotten browser must not be able to do. */
export function requireFresh(services: Services, call: Call, how: Freshness): void {
  if (services.access.isFresh(call.session, how)) return
  throw new BackupError('FORBIDDEN', 'this needs a login of the last minutes', {
    hint: 'Call login and use the token it answers with.',
    data: { fresh: how },
  })
}
