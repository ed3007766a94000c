import { describe, expect, test } from 'vitest'
import type { BackupSpec } from '../../src/engine/spec.ts'
import { BackupError } from '../../src/lib/errors.ts'
import { FakeServer } from '../dump/fake-sql-dump.ts'
import type { MemoryWork } from '../helpers/memory-work.ts'
import { resumable, type ResumableRun } from '../suites/resumable.ts'
import { MIB, world, contentsOf, expectWhole, GONE, run } from './server-dump-world.ts'

/** Two blocks to a file, rows of all kinds: many to a block, longer than one, without a key. */
const filled = (): FakeServer =>
  new FakeServer()
    .table('keyed', { count: 45 })
    .table('empty', { count: 0 })
    .table('long', { count: 4, length: (row) => (row === 2 ? 2 * MIB + 9 : 300_000) })
    .table('loose', { count: 25, keyed: false })
    .table('small', { count: 2, length: () => 10 })

const summaryOf = (work: MemoryWork): { consistency: string; restarts: number } =>
  JSON.parse(work.content('databases').toString()) as { consistency: string; restarts: number }
const warningsOf = (work: MemoryWork): string[] => work.committed.warnings.recent.map(({ message }) => message)

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
