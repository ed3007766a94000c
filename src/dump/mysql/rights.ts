import type { MysqlSession } from './session.ts'

/** What an account may do in one database, as far as `SHOW GRANTS` tells: privileges in capitals. */
export type Rights = ReadonlySet<string>

const GRANT = /^GRANT (.+?) ON (?:\*\.\*|`((?:[^`]|``)*)`\.\*) TO /s
/** What an account needs at least one of, to be shown whether there are routines at all. */
const ROUTINE_RIGHTS = ['SHOW ROUTINE', 'SHOW CREATE ROUTINE', 'EXECUTE', 'ALTER ROUTINE', 'CREATE ROUTINE', 'SELECT *']

/** Those of the account and of its roles in force. */
export async function rightsOn(session: MysqlSession, database: string): Promise<Rights> {
  const rows = await session.facts('SHOW GRANTS')
  const found = new Set<string>()
  for (const line of rows.flatMap((row) => Object.values(row))) {
    const [, privileges = '', scope] = GRANT.exec(line ?? '') ?? []
    if (scope !== undefined && !matches(scope.replaceAll('``', '`'), database)) continue
    for (const privilege of privileges.toUpperCase().split(/,\s*/)) {
      found.add(privilege === 'ALL' ? 'ALL PRIVILEGES' : privilege)
      if (scope === undefined && privilege === 'SELECT') found.add('SELECT *')
    }
  }
  return found
}

const has = (rights: Rights, ...oneOf: readonly string[]): boolean =>
  rights.has('ALL PRIVILEGES') || oneOf.some((right) => rights.has(right))

/** Kinds of objects that the server hides from this account, whether there are any or not. */
export function hiddenFrom(
  rights: Rights,
): { readonly kind: 'table' | 'trigger' | 'event' | 'routine'; readonly right: string }[] {
  return [
    ...(has(rights, 'SELECT') ? [] : [{ kind: 'table', right: 'SELECT' } as const]),
    ...(has(rights, 'TRIGGER') ? [] : [{ kind: 'trigger', right: 'TRIGGER' } as const]),
    ...(has(rights, 'EVENT') ? [] : [{ kind: 'event', right: 'EVENT' } as const]),
    ...(has(rights, ...ROUTINE_RIGHTS) ? [] : [{ kind: 'routine', right: 'EXECUTE or SHOW ROUTINE' } as const]),
  ]
}

/** `_` and `%` stand for any character and any text, unless a backslash is before them. */
function matches(pattern: string, name: string): boolean {
  const parts = pattern.match(/\\[^]|[^]/gu) ?? []
  const source = parts.map((part) => {
    if (part === '_') return '[^]'
    if (part === '%') return '[^]*'
    const literal = part.length > 1 && part.startsWith('\\') ? part.slice(1) : part
    return literal.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')
  })
  return new RegExp(`^${source.join('')}$`, 'iu').test(name)
}
