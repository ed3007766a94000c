import { identifier, literal } from '../../dump/postgres/identifier.ts'
import type { PostgresSession } from '../../dump/postgres/session.ts'
import type { Lack } from '../../dump/sql-dump.ts'
import type { Database } from './databases.ts'
import { sayingOf } from './errors.ts'

/** Settings whose value is a list of names, each quoted by itself (`variable_is_guc_list_quote` of the vendor's). */
const LISTS: ReadonlySet<string> = new Set([
  ...['local_preload_libraries', 'search_path', 'session_preload_libraries', 'shared_preload_libraries'],
  ...['temp_tablespaces', 'unix_socket_directories'],
])
const PRIVILEGES: ReadonlySet<string> = new Set(['CREATE', 'TEMPORARY', 'CONNECT'])

/** What hangs at a database itself and not at what it holds, in SQL for another one. */
interface Carried {
  readonly what: string
  readonly sql: string
}

/**
 * Gives `to` what hangs at `from`: owner, rights, settings, the limit of connections, the comment. In the transaction
 * that is open. What the account may not give is told.
 */
export async function carryOver(session: PostgresSession, from: Database, to: string, me: string): Promise<Lack[]> {
  const name = identifier(to)
  const carried: Carried[] = [
    { what: 'limit of connections', sql: `ALTER DATABASE ${name} CONNECTION LIMIT ${from.limit}` },
    ...(await settingsOf(session, from, name)),
    ...(await rightsOf(session, from, name)),
    ...(await commentOf(session, from, name)),
    // Last: whoever owns it may have to be asked for what comes before.
    ...(from.owner === me || from.owner === ''
      ? []
      : [{ what: `owner ${from.owner}`, sql: `ALTER DATABASE ${name} OWNER TO ${identifier(from.owner)}` }]),
  ]
  const lacks: Lack[] = []
  for (const { what, sql } of carried) {
    await session.run('SAVEPOINT one')
    try {
      await session.run(sql)
      await session.run('RELEASE SAVEPOINT one')
    } catch (error) {
      if (!session.alive) throw error
      await session.run('ROLLBACK TO SAVEPOINT one')
      lacks.push({ kind: 'database', name: what, why: sayingOf(error) })
    }
  }
  return [...lacks, ...(await settingsOfRoles(session, from))]
}

async function settingsOf(session: PostgresSession, { oid }: Database, name: string): Promise<Carried[]> {
  const rows = await session.facts(
    `SELECT pg_catalog.unnest(s.setconfig) AS setting FROM pg_db_role_setting s WHERE s.setdatabase = $1 AND s.setrole = 0`,
    [oid],
  )
  return rows.map(({ setting }) => {
    const text = setting ?? ''
    const [key, value] = [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)]
    const words = LISTS.has(key.toLowerCase()) ? namesIn(value).map(literal).join(', ') : literal(value)
    return {
      what: `setting ${key}`,
      sql: `ALTER DATABASE ${name} SET ${key.split('.').map(identifier).join('.')} TO ${words === '' ? "''" : words}`,
    }
  })
}

/** `"$user", public`: the names themselves. */
function namesIn(list: string): string[] {
  return [...list.matchAll(/"((?:[^"]|"")*)"|[^\s,"]+/g)].map(([all, quoted]) => quoted?.replaceAll('""', '"') ?? all)
}

/** Only those who may alter the role may do that. */
async function settingsOfRoles(session: PostgresSession, { oid }: Database): Promise<Lack[]> {
  const rows = await session.facts(
    `SELECT r.rolname AS role FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole WHERE s.setdatabase = $1 ORDER BY 1`,
    [oid],
  )
  return rows.map(({ role }) => ({
    kind: 'database',
    name: `settings of ${role ?? ''}`,
    why: 'what an account has set in the database before is not set in this one',
  }))
}

async function rightsOf(session: PostgresSession, { oid }: Database, name: string): Promise<Carried[]> {
  const rows = await session.facts(
    `SELECT COALESCE(r.rolname, '') AS role, a.grantee, a.privilege_type AS privilege, a.is_grantable AS further
       FROM pg_database d CROSS JOIN LATERAL pg_catalog.aclexplode(d.datacl) AS a LEFT JOIN pg_roles r ON r.oid = a.grantee
      WHERE d.oid = $1`,
    [oid],
  )
  // Without any, what is usual holds for both.
  if (rows.length === 0) return []
  const grants = rows
    .filter(({ privilege, role, grantee }) => PRIVILEGES.has(privilege ?? '') && (role !== '' || grantee === '0'))
    .map(({ role, grantee, privilege, further }) => {
      const to = grantee === '0' ? 'PUBLIC' : identifier(role ?? '')
      const sql = `GRANT ${privilege} ON DATABASE ${name} TO ${to}${further === 't' ? ' WITH GRANT OPTION' : ''}`
      return { what: `right ${privilege} of ${to}`, sql }
    })
  return [{ what: 'rights', sql: `REVOKE ALL ON DATABASE ${name} FROM PUBLIC` }, ...grants]
}

async function commentOf(session: PostgresSession, { oid }: Database, name: string): Promise<Carried[]> {
  const [row] = await session.facts("SELECT pg_catalog.shobj_description($1, 'pg_database') AS text", [oid])
  const text = row?.['text'] ?? null
  return text === null ? [] : [{ what: 'comment', sql: `COMMENT ON DATABASE ${name} IS ${literal(text)}` }]
}
