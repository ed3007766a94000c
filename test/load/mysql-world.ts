import { MysqlDump } from '../../src/dump/mysql/dump.ts'
import type { MysqlTarget } from '../../src/dump/mysql/session.ts'
import { MysqlLoad } from '../../src/load/mysql/mysql-load.ts'
import type { LoadOrder } from '../../src/load/sql-load.ts'
import type { Lack } from '../../src/dump/sql-dump.ts'
import type { MariadbServer } from '../servers/mariadb.ts'

export interface DumpedFile {
  readonly name: string
  readonly rows: boolean
  readonly bytes: Buffer
}

/** Without what an account that is not root may not say. */
export function plainly(state: Record<string, unknown>): unknown {
  const text = JSON.stringify(state).replaceAll(/(`|\\")(root|plain)\1@(`|\\")localhost\3/g, 'somebody')
  return JSON.parse(text.replaceAll(' DISABLE ', ' ENABLE '))
}

/** A database as files of SQL, as a backup holds them. */
export async function dumped(target: MysqlTarget, block = 64 << 10): Promise<DumpedFile[]> {
  await using dump = await MysqlDump.open(target, { consistency: 'snapshot' })
  const files: DumpedFile[] = []
  for (const section of await dump.sections()) {
    const pieces: Uint8Array[] = [Buffer.from(dump.preamble)]
    for await (const { memory, length } of dump.read(section, null, () => Buffer.alloc(block))) {
      pieces.push(memory.subarray(0, length))
    }
    const bytes = Buffer.concat([...pieces, Buffer.from(dump.postamble)])
    files.push({ name: `${String(files.length).padStart(6, '0')}.sql`, rows: section.kind === 'rows', bytes })
  }
  return files
}

export interface Loaded {
  readonly aside: string | null
  readonly lacks: readonly Lack[]
}

/** All of it, from where the database says it has got to; `commits`: after so many pieces. */
export async function loadAll(
  order: LoadOrder,
  files: readonly DumpedFile[],
  { piece = 16 << 10, commits = 3, finish = true, state = { finishing: false } } = {},
): Promise<Loaded> {
  await using load = await MysqlLoad.open(order)
  const standing = state.finishing ? { file: files.length, at: 0 } : await load.prepare()
  for (const [index, { name, rows, bytes }] of files.entries()) {
    if (index < standing.file) continue
    const file = await load.open({ index, name, rows, more: false, from: 0, head: null })
    let pieces = 0
    for (let at = 0; at < bytes.length; at += piece) {
      const lent = Buffer.from(bytes.subarray(at, at + piece))
      await file.take(lent)
      lent.fill(0xff)
      if (++pieces % commits === 0) await file.commit()
    }
    await file.end()
  }
  let aside: string | null = null
  if (finish) {
    state.finishing = true
    const steps = load.finish()
    for (;;) {
      const step = await steps.next()
      if (step.done !== true) continue
      aside = step.value
      break
    }
  }
  return { aside, lacks: load.takeLacks() }
}

/** What a database holds, as its own server tells it: definitions, rows, what follows from them. */
export async function stateOf(server: MariadbServer, database: string): Promise<Record<string, unknown>> {
  const ask = async (sql: string): Promise<Record<string, unknown>[]> => {
    const [rows] = await server.root.query(sql)
    return rows as Record<string, unknown>[]
  }
  const q = (name: unknown): string => `\`${database}\`.\`${String(name).replaceAll('`', '``')}\``
  const state: Record<string, unknown> = {}
  await ask(`USE \`${database}\``)
  for (const { TABLE_NAME: name, TABLE_TYPE: type } of await ask(
    `SELECT TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA = '${database}' ORDER BY 1`,
  )) {
    const view = String(type).includes('VIEW')
    const [made] = await ask(`SHOW CREATE ${view ? 'VIEW' : 'TABLE'} ${q(name)}`)
    state[`${String(type)} ${String(name)}`] = String(made?.[view ? 'Create View' : 'Create Table']).replaceAll(
      `\`${database}\`.`,
      '',
    )
    if (view || String(type).includes('SEQUENCE')) continue
    const [sum] = await ask(`CHECKSUM TABLE ${q(name)}`)
    state[`rows of ${String(name)}`] = sum?.['Checksum']
    const [count] = await ask(`SELECT COUNT(*) AS n FROM ${q(name)}`)
    state[`count of ${String(name)}`] = count?.['n']
  }
  for (const [kind, column] of [
    ['TRIGGER', 'SQL Original Statement'],
    ['EVENT', 'Create Event'],
    ['FUNCTION', 'Create Function'],
    ['PROCEDURE', 'Create Procedure'],
  ] as const) {
    const routine = kind === 'FUNCTION' || kind === 'PROCEDURE'
    const [table, prefix] = routine ? ['ROUTINES', 'ROUTINE'] : [`${kind}S`, kind]
    const which = routine ? ` AND ROUTINE_TYPE = '${kind}'` : ''
    for (const { name } of await ask(
      `SELECT ${prefix}_NAME AS name FROM information_schema.${table} WHERE ${prefix}_SCHEMA = '${database}'${which} ORDER BY 1`,
    )) {
      const [made] = await ask(`SHOW CREATE ${kind} ${q(name)}`)
      // A database that somebody named in a trigger is not loaded with it.
      const sql = String(made?.[column]).replaceAll(/\b(rich|copy)\./g, '')
      state[`${kind} ${String(name)}`] = [sql, made?.['sql_mode'], made?.['character_set_client']]
    }
  }
  return state
}
