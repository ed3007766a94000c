import type { z } from 'zod'
import { complaintOf } from '../engine/profile-schema.ts'
import type { JobView } from '../engine/job.ts'
import type { Engine, Role, Services, Session, StartRequest } from '../engine/services.ts'
import { BackupError } from '../lib/errors.ts'

/** Who calls, and what came with the call besides its parameters. */
export interface Call {
  readonly session: Session
  /** Idempotency key, if the caller sent one. */
  readonly key?: string
  readonly starts: Starts
}

/** Starts jobs; a start repeated under one key is one start. */
export interface Starts {
  start(engine: Engine, request: StartRequest, call: Call): Promise<JobView>
}

/** One method of a wire. Its schemas validate, describe and type it. */
export interface Method {
  readonly role: Role
  readonly summary: string
  readonly params: z.ZodObject
  readonly result: z.ZodType
  /** Parses the parameters (BAD_REQUEST) and runs. */
  invoke(services: Services, raw: unknown, call: Call): Promise<unknown>
}

export type Table = Readonly<Record<string, Method>>

interface Definition<P extends z.ZodObject, R extends z.ZodType> {
  role: Role
  summary: string
  params: P
  result: R
  run(services: Services, params: z.output<P>, call: Call): Promise<z.input<R>> | z.input<R>
}

/** Ties the schema to the function: inside `run` the parameters have the schema's type. */
export function method<P extends z.ZodObject, R extends z.ZodType>(definition: Definition<P, R>): Method {
  const { role, summary, params, result, run } = definition
  return {
    role,
    summary,
    params,
    result,
    invoke: async (services, raw, call) => run(services, parseParams(params, raw), call),
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

/** One call: role, parameters, work. FORBIDDEN, BAD_REQUEST, and whatever the method throws. */
export async function dispatch(found: Method, services: Services, raw: unknown, call: Call): Promise<unknown> {
  requireRole(services, call, found.role)
  return found.invoke(services, raw, call)
}

export function requireRole(services: Services, call: Call, role: Role): void {
  if (!services.access.allows(call.session, role))
    throw new BackupError('FORBIDDEN', `this needs the role ${role}`, { data: { role } })
}
