import { z } from 'zod'
import { ERROR_RULES, type ErrorCode } from '../../lib/errors.ts'
import type { Method, Table } from '../facade.ts'
import { RPC_CODES } from './errors.ts'

/** The wire described by the schemas that guard it: OpenRPC, whose schemas are JSON Schema draft 7. */

type JsonSchema = Record<string, unknown>

export interface OpenRpcDocument {
  openrpc: string
  info: { title: string; version: string; description: string }
  methods: object[]
  components: { errors: Record<string, object> }
}

/** What any method may answer. */
const COMMON: readonly ErrorCode[] = ['BAD_REQUEST', 'FORBIDDEN', 'TOO_MANY_REQUESTS', 'INTERNAL']

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { target: 'draft-07', io, reused: 'inline' })
  return rest
}

function describeMethod(name: string, method: Method): object {
  const whole = schemaOf(method.params, 'input')
  const required = new Set(Array.isArray(whole['required']) ? whole['required'] : [])
  const properties = Object.entries(whole['properties'] ?? {}) as [string, JsonSchema][]
  return {
    name,
    summary: method.summary,
    paramStructure: 'by-name',
    params: properties.map(([key, schema]) => ({ name: key, required: required.has(key), schema })),
    result: { name: `${name}Result`, schema: schemaOf(method.result, 'output') },
    errors: COMMON.map((code) => ({ $ref: `#/components/errors/${code}` })),
    'x-role': method.role,
    ...(method.fresh === null ? {} : { 'x-fresh': method.fresh }),
  }
}

function describeErrors(): Record<string, object> {
  const codes = Object.keys(ERROR_RULES) as ErrorCode[]
  return Object.fromEntries(
    codes.map((code) => {
      const { hint, retry } = ERROR_RULES[code]
      return [code, { code: RPC_CODES[code], message: code, data: { code, hint, retry } }]
    }),
  )
}

export function openrpcOf(table: Table, version: string): OpenRpcDocument {
  return {
    openrpc: '1.3.2',
    info: {
      title: 'Ratchet',
      version,
      description:
        'Stepwise, resumable backups over JSON-RPC 2.0. Parameters are passed by name; unknown ones are refused.',
    },
    methods: Object.entries(table).map(([name, method]) => describeMethod(name, method)),
    components: { errors: describeErrors() },
  }
}
