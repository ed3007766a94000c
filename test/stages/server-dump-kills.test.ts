import { describe, expect, test } from 'vitest'
import { FakeServer } from '../dump/fake-sql-dump.ts'
import { MIB, world, contentsOf, expectWhole, GONE, run, type World } from './server-dump-world.ts'

/** Two blocks to a file, rows of all kinds: many to a block, longer than one, without a key. */
const filled = (): FakeServer =>
  new FakeServer()
    .table('keyed', { count: 45 })
    .table('long', { count: 4, length: (row) => (row === 2 ? 2 * MIB + 9 : 300_000) })

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
