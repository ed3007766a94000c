import { describe, expect, test } from 'vitest'
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
import { FakeServer, rowsIn } from '../dump/fake-sql-dump.ts'
import type { MemoryContext } from '../helpers/memory-context.ts'
import { MemoryWork } from '../helpers/memory-work.ts'
import { sampleSpec } from '../helpers/sample-job.ts'
import { partsOf } from '../sink/sink-world.ts'
import { resumable, runCut, type ResumableRun } from '../suites/resumable.ts'

const MIB = 1 << 20

/** Two blocks to a file, rows of all kinds: many to a block, longer than one, without a key. */
const filled = (): FakeServer =>
  new FakeServer()
    .table('keyed', { count: 45 })
    .table('empty', { count: 0 })
    .table('long', { count: 4, length: (row) => (row === 2 ? 2 * MIB + 9 : 300_000) })
    .table('loose', { count: 25, keyed: false })
    .table('small', { count: 2, length: () => 10 })

interface World {
  readonly work: MemoryWork
  readonly server: FakeServer
  steps(ctx: MemoryContext): Steps
}

function world(server: FakeServer, database: Partial<ServerDatabaseSpec> = {}, more: Partial<BackupSpec> = {}): World {
  const deflate = 2 * MIB // files of two blocks
  const spec = sampleSpec({ sources: [], level: 1, deflate, ...more })
  const of: ServerDatabaseSpec = { type: 'mysql', user: 'me', database: 'shop', ...database }
  const open = (_: ServerDatabaseSpec, wish: Consistency): Promise<SqlDump> => server.open(wish)
  return {
    work: new MemoryWork({ spec }),
    server,
    async *steps(ctx) {
      const { format, partSize, level } = spec
      using codec = createCodec({ threads: 0 })
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
async function contentsOf(work: MemoryWork): Promise<Map<string, string>> {
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
async function expectWhole({ work, server }: World): Promise<Map<string, string>> {
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

const summaryOf = (work: MemoryWork): { consistency: string; restarts: number } =>
  JSON.parse(work.content('databases').toString()) as { consistency: string; restarts: number }
const warningsOf = (work: MemoryWork): string[] => work.committed.warnings.recent.map(({ message }) => message)

const GONE = new BackupError('UNREACHABLE', 'the server has gone away')

/** Steps until the end; a step that fails is followed by the next, as the engine has it. */
async function run(of: World, most = 20): Promise<number> {
  for (let failed = 0; ; failed++) {
    try {
      await runCut({ work: of.work, steps: (ctx) => of.steps(ctx), result: () => null }, null)
      return failed
    } catch (error) {
      if (failed === most || !(error instanceof BackupError)) throw error
      of.work.crash('noise')
    }
  }
}

function resumableRun(more: Partial<BackupSpec>): ResumableRun {
  const made = world(filled(), { consistency: 'table' }, more)
  return {
    work: made.work,
    steps: (ctx) => made.steps(ctx),
    async result(work) {
      return {
        files: [...(await expectWhole(made))],
        manifest: work.content('manifest'),
        parts: work.committed.parts,
        entries: work.committed.totals.entries,
      }
    },
  }
}

const LONG = process.env['RATCHET_LONG'] === '1'
resumable('a database read table by table', () => resumableRun({}), { cuts: LONG ? 1000 : 12 })
resumable('a database read table by table, in parts', () => resumableRun({ partSize: 65_536, level: 0 }), {
  cuts: LONG ? 1000 : 8,
})
resumable('a database read table by table, into JPA', () => resumableRun({ partSize: 65_536, format: 'jpa' }), {
  cuts: LONG ? 1000 : 8,
})

describe('a database of a server', () => {
  test('is read in one snapshot, into files of bounded size', async () => {
    const made = world(filled())
    await run(made)
    const found = await expectWhole(made)
    expect(made.server.wishes).toEqual(['snapshot'])
    expect(summaryOf(made.work)).toMatchObject({ consistency: 'snapshot', restarts: 0, rows: 76, server: 'Fake 1.0' })
    expect([...found].filter(([name]) => name.includes('rows-keyed')).length).toBe(5)
    expect(made.work.committed.parts[0]).toMatchObject({ name: 'databases/shop', status: 'completed', omitted: 1 })
    expect(warningsOf(made.work)).toEqual(['database shop: trigger hidden is not in the backup: nobody may see it'])
  })

  test('is never called a snapshot after a process was lost: begun again, and at last read as tables', async () => {
    const made = world(filled())
    const { work } = made
    for (let process = 1; ; process++) {
      const running = made.steps(work.open())
      let ended = false
      for (let point = 0; point < 12 && !ended; point++) {
        const next = await running.next()
        ended = next.done === true
        if (next.done !== true && next.value.beyond === true) point-- // its step goes on
        if (next.done !== true && next.value.durable === true) await work.commit()
      }
      await work.commit()
      work.crash('noise')
      await running.return(undefined).catch(() => 'its context is dead')
      if (ended) break
      expect(process).toBeLessThan(100)
    }
    await expectWhole(made)
    expect(made.server.wishes.slice(0, 4)).toEqual(['snapshot', 'snapshot', 'snapshot', 'table'])
    expect(summaryOf(work)).toMatchObject({ consistency: 'table', restarts: 2 })
    expect(warningsOf(work).some((text) => text.includes('its snapshot was lost'))).toBe(true)
  })

  test('whose connection is lost is begun again in a new snapshot, and nothing of the old one is left', async () => {
    const clean = world(filled())
    await run(clean)
    for (let lost = 1; lost <= clean.server.blocks; lost++) {
      const server = filled()
      server.beforeBlock = (block) => {
        if (block === lost) throw GONE
      }
      const made = world(server)
      await run(made)
      await expectWhole(made)
      expect(summaryOf(made.work)).toMatchObject({ consistency: 'snapshot', restarts: 1 })
    }
  })

  test('that is read table by table goes on behind the last row', async () => {
    for (let lost = 1; lost <= 22; lost++) {
      const server = filled()
      server.beforeBlock = (block) => {
        if (block % lost === 0 && block < 60) throw GONE
      }
      const made = world(server, { consistency: 'table' })
      await run(made, 100)
      await expectWhole(made)
    }
  })

  test.each(['snapshot', 'table'] as const)(
    'that is altered while it is read is read again: %s',
    async (consistency) => {
      const server = filled()
      let altered = 0
      server.beforeBlock = (_, table) => {
        const keyed = server.tables.get('keyed')
        if (table === 'keyed' && keyed !== undefined && altered++ === 2) keyed.definition = 'create keyed, altered'
      }
      const made = world(server, { consistency })
      await run(made)
      await expectWhole(made)
      expect(summaryOf(made.work)).toMatchObject({ consistency, restarts: consistency === 'snapshot' ? 1 : 0 })
    },
  )

  test('that is altered each time it is read is an error with the name of the table', async () => {
    const server = filled()
    server.beforeBlock = (block, table) => {
      const keyed = server.tables.get('keyed')
      if (table === 'keyed' && keyed !== undefined) keyed.definition = `create keyed ${block}`
    }
    await expect(run(world(server, { consistency: 'table' }), 0)).rejects.toMatchObject({
      code: 'SOURCE_CHANGED',
      message: expect.stringContaining('keyed') as string,
    })
  })

  test('that the run can do without fails alone, and nothing of it is in the archive', async () => {
    const server = filled()
    const denied = new BackupError('DATABASE_DENIED', 'no SELECT on loose')
    server.beforeBlock = (_, table) => {
      if (table === 'loose') throw denied
    }
    const made = world(server, { critical: false }, { partSize: 65_536 })
    await run(made)
    expect([...(await contentsOf(made.work)).keys()]).toEqual([])
    expect(made.work.content('manifest').length).toBe(0)
    expect(made.work.committed.totals).toMatchObject({ entries: 0, files: 0, bytesRead: 0 })
    expect(made.work.committed.parts[0]).toMatchObject({
      status: 'failed',
      error: 'DATABASE_DENIED: no SELECT on loose',
    })
    await expect(run(world(server), 0)).rejects.toMatchObject({ code: 'DATABASE_DENIED' })
  })

  test('whose server does not answer fails its step, and the next one tries again', async () => {
    const server = filled()
    let refused = 0
    server.beforeOpen = () => {
      if (refused++ < 3) throw GONE
    }
    const made = world(server)
    expect(await run(made)).toBe(3)
    await expectWhole(made)
  })
})
