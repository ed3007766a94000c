import { describe, expect, it } from 'vitest'
import type { DatabaseTest } from '../../src/engine/services.ts'
import { cli, FakeBackend } from './helpers/fake.ts'

const good: DatabaseTest = {
  ...{ name: 'shop', type: 'mysql', ok: true, server: 'MariaDB 10.11.1', consistency: 'snapshot' },
  ...{ tables: 3, rows: 1200, bytes: 5 << 20, keyless: ['log'], exceptions: [], lacks: [], error: null },
}

describe('ratchet db test', () => {
  it('says what a backup could promise', async () => {
    const backend = new FakeBackend()
    backend.databaseTests = [good]
    const { out, code } = await cli(['db', 'test', '2'], { backend })
    expect(out).toContain('shop: can be backed up\n')
    expect(out).toContain('snapshot: all tables from one moment')
    expect(out).toContain('3 tables, about 1200 rows, 5.0 MiB')
    expect(out).toContain('no key       log')
    expect(code).toBe(0)
  })

  it('ends with 3 where something would be missing, with 1 where there would be no backup, and says why', async () => {
    const backend = new FakeBackend()
    backend.databaseTests = [{ ...good, lacks: [{ kind: 'trigger', name: 't\u001b[2J', why: 'not shown' }] }]
    const gaps = await cli(['db', 'test'], { backend })
    expect([gaps.code, gaps.out]).toEqual([3, expect.stringContaining('missing      trigger t\\u001b[2J: not shown')])
    const error = { code: 'DATABASE_DENIED', message: 'no', hint: 'Check the password.' }
    backend.databaseTests.push({ ...good, ok: false, server: null, error })
    const failed = await cli(['db', 'test'], { backend })
    expect([failed.code, failed.out]).toEqual([1, expect.stringContaining('shop: no [DATABASE_DENIED]\n  hint: Check')])
    const { lines } = await cli(['db', 'test', '--json'], { backend })
    expect(lines.at(-1)).toEqual({ event: 'final', ok: false, whole: false })
  })
})
