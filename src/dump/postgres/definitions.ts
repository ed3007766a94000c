import type { SqlBlock } from '../sql-dump.ts'
import { findPgDump, runPgDump, type PgDump } from './pg-dump.ts'
import type { Selection } from './selection.ts'
import type { PostgresSession, PostgresTarget } from './session.ts'
import { SqlBlocks } from './sql-blocks.ts'

export interface DefinitionsOrder {
  readonly part: 'before' | 'after'
  readonly session: PostgresSession
  readonly target: PostgresTarget
  readonly selection: Selection
  readonly snapshot: string | null
  readonly program: PgDump
  readonly lend: () => Buffer
}

export { findPgDump }

/** Definitions in the vendor's own words. */
export async function* definitionBlocks(order: DefinitionsOrder): AsyncGenerator<SqlBlock, void, undefined> {
  const { part, session, target, selection, snapshot, program, lend } = order
  const ends = selection.cutKeys.map((sql) => Buffer.from(sql))
  const leaveOut = (text: Buffer): boolean => {
    const length = text.findLastIndex((c) => c !== 0x0a) + 1
    return ends.some((end) => text.subarray(Math.max(length - end.length, 0), length).equals(end))
  }
  const blocks = new SqlBlocks({ lend, ...(ends.length === 0 ? {} : { leaveOut }) })
  const output = runPgDump(program, target, {
    section: part === 'before' ? 'pre-data' : 'post-data',
    snapshot,
    encoding: session.encoding === 'SQL_ASCII' ? 'SQL_ASCII' : 'UTF8',
    without: selection.without.map(({ schema, name }) => [schema, name] as const),
  })
  for await (const chunk of output) yield* blocks.add(chunk)
  const last = blocks.end()
  if (last !== null) yield last
}

/** Statements of our own, each with all it needs to be loaded by itself. */
export function* statementBlocks(
  statements: Iterable<string>,
  lend: () => Buffer,
): Generator<SqlBlock, void, undefined> {
  const blocks = new SqlBlocks({ lend })
  for (const statement of statements) yield* blocks.add(Buffer.from(`${statement}\n\n\n`))
  const last = blocks.end()
  if (last !== null) yield last
}
