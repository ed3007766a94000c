import { edgesOf } from './object-edges.ts'
import { extras } from './object-extras.ts'
import { schemata } from './object-schemata.ts'
import { tablesAndSequences } from './object-tables.ts'
import type { Selection } from './selection.ts'
import type { PostgresSession } from './session.ts'

/** What is made first where nothing else decides; up to `table`, before the rows. */
export const RANKS = [
  ...['schema', 'extension', 'collation', 'type', 'sequence', 'function', 'table', 'attachment', 'ownership'],
  ...['key', 'index', 'index attachment', 'view', 'foreign key', 'rule', 'statistics', 'trigger', 'policy'],
  ...['comment', 'refresh'],
] as const
export type Rank = (typeof RANKS)[number]
const LAST_BEFORE: Rank = 'ownership'

/** One thing of the database, and the SQL that makes it. */
export interface DatabaseObject {
  /** Catalogue and oid, as in `pg_depend`. */
  readonly id: string
  readonly rank: Rank
  /** Statements, each with its semicolon. */
  readonly sql: readonly string[]
  /** Ids of what has to be there first, beside what `pg_depend` says. */
  readonly needs?: readonly string[]
  /** Further ids that stand for the same: a table's type, its defaults, its checks. */
  readonly also?: readonly string[]
}

export interface OwnDefinitions {
  readonly before: readonly string[]
  readonly after: readonly string[]
}

/** The definitions of a database, put together from its catalogue, where the vendor's own program is not at hand. */
export async function ownDefinitions(session: PostgresSession, selection: Selection): Promise<OwnDefinitions> {
  const out = new Set(selection.without.map(({ oid }) => oid))
  const objects = [
    ...(await schemata(session)),
    ...(await tablesAndSequences(session, out)),
    ...(await extras(session, out)),
  ]
  return inOrder(objects, await edgesOf(session))
}

/** Each after all it needs; where two need each other, by rank. */
function inOrder(
  objects: readonly DatabaseObject[],
  edges: readonly (readonly [from: string, to: string])[],
): { before: string[]; after: string[] } {
  const owner = new Map(objects.flatMap((one) => [one.id, ...(one.also ?? [])].map((id) => [id, one] as const)))
  const needs = Map.groupBy(edges, ([from]) => owner.get(from))
  const made = new Set<DatabaseObject>()
  const statements: string[] = []
  let before = 0
  const make = (root: DatabaseObject): void => {
    // A stack of our own: chains of views may be longer than that of the program.
    const stack = [{ one: root, open: false }]
    for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
      const { one, open } = top
      if (open) statements.push(...one.sql)
      if (open || made.has(one)) continue
      made.add(one)
      stack.push({ one, open: true })
      const ids = [...(needs.get(one) ?? []).map(([, to]) => to), ...(one.needs ?? [])]
      for (const id of ids.toReversed()) {
        const needed = owner.get(id)
        if (needed !== undefined && !made.has(needed)) stack.push({ one: needed, open: false })
      }
    }
  }
  for (const rank of RANKS) {
    for (const one of objects) if (one.rank === rank) make(one)
    if (rank === LAST_BEFORE) before = statements.length
  }
  return { before: statements.slice(0, before), after: statements.slice(before) }
}
