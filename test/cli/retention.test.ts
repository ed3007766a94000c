import { describe, expect, it } from 'vitest'
import { cli, FakeBackend, jobState } from './helpers/fake.ts'

const done = (number: number): ReturnType<typeof jobState> =>
  jobState({ number, ended: true, status: 'completed', finishedAt: 4000, archive: 'a' })

describe('freezing and deleting', () => {
  it('takes several, and says what was done', async () => {
    const backend = new FakeBackend()
    for (const number of [1, 2]) backend.put(done(number))
    const text = await cli(['freeze', '1', '2'], { backend })
    expect(text.out).toBe('backup 1 is frozen\nbackup 2 is frozen\n')
    expect((await cli(['unfreeze', '2', '--json'], { backend })).lines).toEqual([{ event: 'unfrozen', number: 2 }])
    expect(backend.frozen).toEqual([
      { number: 1, frozen: true },
      { number: 2, frozen: true },
      { number: 2, frozen: false },
    ])
    expect((await cli(['show', '1'], { backend })).out).toContain('frozen')
    expect((await cli(['show', '1', '--json'], { backend })).lines).toMatchObject([{ frozen: true }])
  })

  it('deletes files, record, or both', async () => {
    const backend = new FakeBackend()
    await cli(['delete', '1'], { backend })
    expect((await cli(['delete', '2', '--files-only'], { backend })).out).toContain('its record stays')
    expect((await cli(['delete', '3', '--record-only', '--json'], { backend })).lines).toMatchObject([
      { what: 'record' },
    ])
    expect(backend.removedWhat).toEqual(['both', 'files', 'record'])
    expect((await cli(['delete', '3', '--record-only', '--files-only'], { backend })).code).toBe(2)
  })

  it('shows that files have gone, since when and why', async () => {
    const backend = new FakeBackend()
    backend.put({ ...done(1), filesRemoved: { at: 0, by: 'retention', reason: 'no rule keeps it\u001b[2J' } })
    const { out } = await cli(['show', '1'], { backend })
    expect(out).toMatch(/file {6}none: removed by retention on .*: no rule keeps it\\u001b/)
  })
})

describe('retention', () => {
  it('shows what would go and why, under the policy of the profile or one given', async () => {
    const backend = new FakeBackend()
    const one = { time: 0, bytes: 2048, complete: true }
    backend.preview = {
      refused: null,
      backups: [
        { number: 9, ...one, keep: true, reasons: ['newest', 'last'] },
        { number: 8, ...one, complete: false, keep: false, reasons: ['superseded'] },
        { number: 7, ...one, keep: true, reasons: ['frozen'] },
      ],
      totals: {
        kept: { count: 2, bytes: 4096 },
        removed: { count: 1, bytes: 2048 },
        frozen: { count: 1, bytes: 2048 },
      },
    }
    const lines = (await cli(['retention', '2'], { backend })).out.trimEnd().split('\n')
    expect(lines).toHaveLength(5)
    expect(lines[1]).toMatch(/^ +9 .* stays +newest last$/)
    expect(lines[2]).toMatch(/^ +8 .* goes +superseded \(partial\)$/)
    expect(lines[4]).toMatch(/^stay: 2 backups, .* \(frozen: 1 backup, .*\); go: 1 backup, /)
    const json = await cli(['retention', '--keep-last', '3', '--max-bytes', '1G', '--json'], { backend })
    expect(json.lines.at(-1)).toMatchObject({ event: 'final', totals: { removed: { count: 1 } } })
    expect(backend.previews).toEqual([
      { profile: 2, policy: undefined },
      { profile: 1, policy: { keepLast: 3, maxBytes: 1024 ** 3 } },
    ])
    backend.preview = { ...backend.preview, refused: 'the clock is wrong' }
    expect((await cli(['retention'], { backend })).out).toContain('nothing would go: the clock is wrong')
    for (const wrong of [
      ['--keep-last', '0'],
      ['--keep-daily', '-1'],
      ['--max-bytes', 'much'],
      ['--keep-within-days', 'x'],
    ])
      expect((await cli(['retention', ...wrong], { backend })).code).toBe(2)
  })

  it('is given with a backup of a profile, and lets nothing go without one', async () => {
    const backend = new FakeBackend()
    const keep = ['--keep-last', '3', '--keep-weekly', '8', '--keep-within-days', '30']
    await cli(['backup', '--profile', '2', ...keep], { backend })
    await cli(['backup', '--profile', '2'], { backend })
    await cli(['backup', 'www', '--to', 'there'], { backend })
    const retention = backend.started.map((request) => request.kind === 'backup' && request.overrides?.['retention'])
    expect(retention).toEqual([{ keepLast: 3, keepWeekly: 8, keepWithinDays: 30 }, undefined, {}])
    const wrong = await cli(['backup', 'www', '--to', 'there', '--keep-last', '3'], { backend })
    expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining('--profile')])
  })
})
