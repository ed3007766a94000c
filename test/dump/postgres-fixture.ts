import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { RowMark, Section, SqlBlock } from '../../src/dump/sql-dump.ts'
import { PostgresDump, type PostgresDumpOptions } from '../../src/dump/postgres/postgres-dump.ts'
import type { PostgresTarget } from '../../src/dump/postgres/session.ts'
import type { PostgresServer } from '../servers/postgres.ts'

/** What a block says, copied: its memory is lent again. */
export interface Kept {
  readonly text: string
  readonly length: number
  readonly safe: boolean
  readonly mark: RowMark | null
  readonly rows: number
}

export const keep = ({ memory, length, safe, mark, rows }: SqlBlock): Kept => ({
  text: memory.toString('latin1', 0, length),
  length,
  safe,
  mark: JSON.parse(JSON.stringify(mark)) as RowMark | null,
  rows,
})

/** A section from a mark on, all blocks in the same memory. */
export async function blocksOf(
  dump: PostgresDump,
  section: Section,
  after: RowMark | null = null,
  size = 1 << 20,
): Promise<Kept[]> {
  const memory = Buffer.alloc(size, 'x')
  const found: Kept[] = []
  for await (const block of dump.read(section, after, () => memory)) {
    found.push(keep(block))
    memory.fill('x')
  }
  return found
}

/** `blockSize`: of the memory that is lent. */
export type Options = PostgresDumpOptions & { readonly blockSize?: number }

/** Everything, a file for each section, and the order file: what a user has on disk. */
export async function dumpToFolder(
  target: PostgresTarget,
  options: Options,
): Promise<{ folder: string; order: string; dump: { lacks: readonly unknown[]; sections: readonly Section[] } }> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ratchet-dumped-'))
  fs.chmodSync(folder, 0o755)
  await using dump = await PostgresDump.open(target, options)
  const sections = await dump.sections()
  const shape = await dump.shape(sections[0]?.unit ?? '')
  const files: string[] = []
  const write = (text: string): void => {
    const name = `${files.length} it's.sql`
    fs.writeFileSync(path.join(folder, name), dump.preamble + text + dump.postamble, 'latin1')
    files.push(name)
  }
  for (const section of sections) {
    const blocks = await blocksOf(dump, section, null, options.blockSize)
    // Small blocks each in a file of their own, as far as files may begin there.
    const ends = blocks.flatMap(({ safe }, i) => (safe && options.blockSize !== undefined ? [i + 1] : []))
    for (const [n, end] of [...new Set([...ends, blocks.length])].entries()) {
      const from = n === 0 ? 0 : (ends[n - 1] ?? 0)
      write(
        blocks
          .slice(from, end)
          .map((block) => block.text)
          .join(''),
      )
    }
    if ((await dump.shape(section.unit)) !== shape) throw new Error(`${section.id} is not what it was`)
  }
  const order = path.join(folder, 'load.sql')
  fs.writeFileSync(order, dump.orderFile(files))
  return { folder, order, dump: { lacks: dump.takeLacks(), sections } }
}

/** Dumped, and loaded by psql into a new database. What was dumped is gone after. */
export async function roundTrip(
  server: PostgresServer,
  from: string,
  to: string,
  options: Options,
  create = `CREATE DATABASE ${to} TEMPLATE template0`,
): Promise<{ lacks: readonly unknown[]; sections: readonly Section[]; said: string }> {
  const target = { socket: server.socket, port: server.port, user: 'postgres', password: '', database: from }
  const { folder, order, dump } = await dumpToFolder(target, options)
  try {
    const admin = await server.connect()
    await admin.query(create)
    const ran = server.psql(to, ['--single-transaction', '-f', order])
    if (ran.status !== 0) throw new Error(`psql ended with ${ran.status}: ${ran.stderr.slice(0, 2000)}`)
    return { ...dump, said: ran.stderr }
  } finally {
    fs.rmSync(folder, { recursive: true })
  }
}

/** All rows of all tables as text, in the bytes' order; and all definitions, by pg_dump's judgement. */
export async function picture(server: PostgresServer, database: string): Promise<Record<string, string[]>> {
  const client = await server.connect(database)
  await client.query(
    "SET statement_timeout = 0; SET DateStyle = 'ISO'; SET extra_float_digits = 3; SET bytea_output = hex; SET TimeZone = 'UTC'; SET search_path = ''",
  )
  const tables = await client.query<{ name: string; full: string }>(
    `SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS full FROM pg_catalog.pg_class c
       JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'm', 'S') AND c.relispopulated AND n.nspname OPERATOR(pg_catalog.!~) '^(pg_|information_schema)' ORDER BY 1`,
  )
  const found: Record<string, string[]> = {}
  for (const { full } of tables.rows) {
    const rows = await client.query<{ row: string }>(
      `SELECT ROW(x.*)::pg_catalog.text AS row FROM ONLY ${full} x ORDER BY pg_catalog.convert_to(ROW(x.*)::pg_catalog.text, 'UTF8')`,
    )
    // How far a sequence has written ahead is not its value.
    found[full] = rows.rows.map(({ row }) => row.replace(/^\((-?\d+),\d+,([tf])\)$/, '($1,$2)'))
  }
  return found
}

/** Definitions as the vendor's own program tells them. */
export function definitions(server: PostgresServer, database: string): string {
  const said = server.pgDump(database, ['--schema-only', '--no-owner', '--no-privileges'])
  return said.replaceAll(/^\\(un)?restrict .*$/gm, '')
}

/** The rows that psql would load from these blocks; fails where it would stumble. */
export function rowsIn(blocks: readonly Kept[]): string[] {
  const rows: string[] = []
  let inside = false
  for (const line of blocks
    .map(({ text }) => text)
    .join('')
    .split('\n')) {
    if (!inside) {
      if (/^COPY "[^\n]* FROM stdin;$/.test(line)) inside = true
      else if (line.trim() !== '') throw new Error(`not SQL: ${JSON.stringify(line.slice(0, 100))}`)
    } else if (line === '\\.') inside = false
    else rows.push(line)
  }
  if (inside) throw new Error('the rows do not end')
  return rows
}
