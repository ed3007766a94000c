import { identifier } from '../../dump/mysql/identifier.ts'

/** The server's own limit on names (MySQL reference manual, "Identifier Length Limits"). Characters. */
const LONGEST = 64

/** Name of a database beside another: `shop_before_20261122-101500-000012`. */
export function beside(database: string, what: 'ratchet' | 'before', id: string): string {
  const ending = `_${what}_${id}`
  const name = [...database].slice(0, LONGEST - ending.length).join('') + ending
  identifier(name) // whatever cannot be a name is told here
  return name
}
