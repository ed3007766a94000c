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
import { runCut } from '../suites/resumable.ts'

const MIB = 1 << 20

/** Two blocks to a file, rows of all kinds: many to a block, longer than one, without a key. */
const filled = (): FakeServer =>
  new FakeServer()
    .table('keyed', { count: 45 })
    .table('long', { count: 4, length: (row) => (row === 2 ? 2 * MIB + 9 : 300_000) })

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
      of.work.committed.attempts = failed + 1
    }
  }
}

/** A process that is lost at its n-th safe point, which is in the record. False: it came to its end. */
async function lostAt({ work, steps }: World, n: number): Promise<boolean> {
  const running = steps(work.open())
  let ended = false
  for (let point = 0; point < n && !ended; point++) {
    const next = await running.next()
    ended = next.done === true
  }
  if (!ended) await work.commit()
  work.crash('noise')
  await running.return(undefined).catch(() => 'its context is dead')
  return !ended
}

describe('a database read table by table', () => {
  test('whose next process loses its connection before it has read anything', async () => {
    for (let n = 1; ; n++) {
      const server = filled()
      const made = world(server, { consistency: 'table' })
      if (!(await lostAt(made, n))) break
      let once = true
      server.beforeShape = () => {
        if (!once) return
        once = false
        throw GONE
      }
      await run(made)
      await expectWhole(made)
    }
  })

  test('whose connection is lost within a row, and the process behind it', async () => {
    for (let lost = 3; lost <= 6; lost++) {
      for (let n = 1; ; n++) {
        const server = new FakeServer().table('long', {
          count: 3,
          length: (row) => (row === 2 ? 2 * MIB + 9 : 300_000),
        })
        let once = true
        server.beforeBlock = (block) => {
          if (!once || block !== lost) return
          once = false
          throw GONE
        }
        const made = world(server, { consistency: 'table' })
        if (!(await lostAt(made, n))) break
        await run(made)
        const text = [...(await expectWhole(made)).values()].join('')
        // Half a row would be no line of its own.
        expect(text.match(/row long \d+ x*/g)?.length, `${lost} ${n}`).toBe(3)
      }
    }
  })
})

describe('a database read in one snapshot', () => {
  test('leaves no connection open, with its snapshot, where a step ends with it', async () => {
    const made = world(filled())
    const ctx = made.work.open()
    const running = made.steps(ctx)
    while (ctx.part('databases/shop').status !== 'completed') {
      const next = await running.next()
      expect(next.done).not.toBe(true)
      if (next.done !== true && next.value.durable === true) await made.work.commit()
    }
    await running.return(undefined)
    expect(made.server).toMatchObject({ opened: 1, closed: 1 })
  })

  test.each(['zip', 'jpa'] as const)('whose process is lost within a file of several parts: %s', async (format) => {
    for (let n = 1; ; n++) {
      const made = world(filled(), {}, { partSize: 65_536, level: 0, format })
      if (!(await lostAt(made, n))) break
      await run(made)
      await expectWhole(made)
    }
  })
})

describe('a database the run can do without', () => {
  test('fails alone where it is altered each time it is read', async () => {
    const server = filled()
    server.beforeBlock = (block, table) => {
      const keyed = server.tables.get('keyed')
      if (table === 'keyed' && keyed !== undefined) keyed.definition = `create keyed ${block}`
    }
    const made = world(server, { consistency: 'table', critical: false })
    await run(made, 0)
    expect([...(await contentsOf(made.work)).keys()]).toEqual([])
    const [part] = made.work.committed.parts
    expect(part).toMatchObject({ status: 'failed', error: expect.stringContaining('SOURCE_CHANGED') as string })
  })

  test.each(['loose', 'keyed'])(
    'fails alone where its server breaks at one row, and at last fails its steps: %s',
    async (at) => {
      const breaking = (): FakeServer => {
        const server = new FakeServer().table(at, { count: 45, keyed: at === 'keyed' })
        server.beforeBlock = (_, table) => {
          const there = server.blocks % 3 === 0 || (at === 'keyed' && server.opened > 1)
          if (table === at && there) throw GONE
        }
        server.beforeOpen = () => {
          server.blocks = 0
          if (server.opened > 50) throw new RangeError('without an end')
        }
        return server
      }
      await expect(run(world(breaking(), { consistency: 'table' }), 5)).rejects.toMatchObject({ code: 'UNREACHABLE' })
      const made = world(breaking(), { consistency: 'table', critical: false })
      await run(made, 10)
      expect(made.work.committed.parts[0]).toMatchObject({ status: 'failed' })
    },
  )
})
