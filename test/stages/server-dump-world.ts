import { expect } from 'vitest'
import { createCodec } from '../../src/archive/codec.ts'
import { joinParts } from '../../src/archive/parts.ts'
import type { Consistency, SqlDump } from '../../src/dump/sql-dump.ts'
import type { BackupSpec, ServerDatabaseSpec } from '../../src/engine/spec.ts'
import type { Steps } from '../../src/engine/stage.ts'
import { BackupError } from '../../src/lib/errors.ts'
import { formatNamed } from '../../src/registry.ts'
import { ArchiveSink } from '../../src/sink/archive-sink.ts'
import type { ServerDatabase } from '../../src/stages/named-databases.ts'
import { packServers } from '../../src/stages/server-dump.ts'
import { rowsIn, type FakeServer } from '../dump/fake-sql-dump.ts'
import type { MemoryContext } from '../helpers/memory-context.ts'
import { MemoryWork } from '../helpers/memory-work.ts'
import { sampleSpec } from '../helpers/sample-job.ts'
import { partsOf } from '../sink/sink-world.ts'
import { runCut } from '../suites/resumable.ts'

export const MIB = 1 << 20

/** A database of a server into an archive, without an engine. */
export interface World {
  readonly work: MemoryWork
  readonly server: FakeServer
  steps(ctx: MemoryContext): Steps
}

export function world(
  server: FakeServer,
  database: Partial<ServerDatabaseSpec> = {},
  more: Partial<BackupSpec> = {},
): World {
  const deflate = 2 * MIB // files of two blocks
  const spec = sampleSpec({ sources: [], level: 1, deflate, ...more })
  const of: ServerDatabaseSpec = { type: 'mysql', user: 'me', database: 'shop', ...database }
  const open = (_: ServerDatabaseSpec, wish: Consistency): Promise<SqlDump> => server.open(wish)
  const codec = createCodec({ threads: 0 }) // as a process keeps it between steps
  return {
    work: new MemoryWork({ spec }),
    server,
    async *steps(ctx) {
      const { format, partSize, level } = spec
      const sink = new ArchiveSink(ctx, { format: formatNamed(format), codec, partSize, level, deflate })
      const named: ServerDatabase = {
        spec: of,
        name: 'shop',
        critical: of.critical ?? true,
        get part() {
          return ctx.part('databases/shop')
        },
      }
      yield* packServers({ openSqlDump: open }, ctx, sink, [named])
      yield* sink.close()
    },
  }
}

/** What the archive holds, by name, in its order. */
export async function contentsOf(work: MemoryWork): Promise<Map<string, string>> {
  const format = work.spec.kind === 'backup' ? work.spec.format : 'zip'
  const parts = partsOf(work) // which makes another disk of it
  using reader = formatNamed(format).open(joinParts(work.disk, parts))
  const found = new Map<string, string>()
  for (const entry of reader.entries()) {
    const pieces: Buffer[] = []
    for await (const piece of reader.content(entry)) pieces.push(Buffer.from(piece.bytes))
    found.set(entry.path.toString('latin1'), Buffer.concat(pieces).toString('latin1'))
  }
  return found
}

/** Every row is there once, in order, and every file is whole. */
export async function expectWhole({ work, server }: World): Promise<Map<string, string>> {
  const found = await contentsOf(work)
  const sql = [...found].filter(([name]) => !name.endsWith('load.sql'))
  for (const [name, text] of sql) {
    expect(text.startsWith('begin;\n'), name).toBe(true)
    expect(text.trimEnd().endsWith('end;'), name).toBe(true)
  }
  const all = sql.map(([, text]) => text).join('')
  for (const [name, { rows, definition }] of server.tables) {
    expect(rowsIn(all, name), name).toEqual(rows)
    expect(all.split(`${definition};\n`).length, definition).toBe(2)
  }
  const names = sql.map(([name]) => name.slice('databases/shop/'.length))
  expect(found.get('databases/shop/load.sql')).toBe(names.map((name) => `load ${name}\n`).join(''))
  expect(names).toEqual(names.toSorted())
  const counted = work
    .content('manifest')
    .toString()
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as { q?: { count: number } })
  expect(counted.reduce((sum, { q }) => sum + (q?.count ?? 0), 0)).toBe(
    [...server.tables.values()].reduce((sum, { rows }) => sum + rows.length, 0),
  )
  return found
}

export const GONE = new BackupError('UNREACHABLE', 'the server has gone away')

/** Steps until the end; a step that fails is followed by the next, as the engine has it. */
export async function run(of: World, most = 20): Promise<number> {
  for (let failed = 0; ; failed++) {
    try {
      await runCut({ work: of.work, steps: (ctx) => of.steps(ctx), result: () => null }, null)
      return failed
    } catch (error) {
      if (failed === most || !(error instanceof BackupError)) throw error
      of.work.crash('noise')
      of.work.committed.attempts = failed + 1
    }
  }
}
