import { createHash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { compareTrees } from '../../bench/demo/compare.ts'
import { addBulk, final, place, ratchet } from './helpers.ts'
import type { Line, Place } from './helpers.ts'

const sha256 = (file: string): string => createHash('sha256').update(fs.readFileSync(file)).digest('hex')

const backup = (p: Place, ...more: string[]): string[] => [
  'backup',
  p.site,
  '--to',
  p.out,
  '--data',
  p.data,
  '--json',
  ...more,
]

/** Nothing but finished archives may lie in the output folder. */
const leftovers = (p: Place): string[] => fs.readdirSync(p.out).filter((name) => !/^[^.].*\.z(ip|\d+)$/.test(name))

function expectEqual(left: string, right: string): void {
  expect(compareTrees(left, right).differences).toEqual([])
}

describe('backup, verify, restore', () => {
  it('gives back what went in, and tells programs where things are', async () => {
    const p = place()
    const made = await ratchet(backup(p, '--name', 'first', '--description', 'a\u001b[2Jb'))
    expect(made.err).toBe('')
    expect(made.code).toBe(0)
    const end = final(made)
    expect(end).toMatchObject({ event: 'final', number: 1, status: 'completed', warnings: 0, error: null })
    expect(end['totals']).toMatchObject({ files: 61, filesExpected: 61 })
    expect(end.id).toMatch(/^\d{8}-\d{6}-\d{6}$/)
    expect(end.artifacts?.map((a) => path.basename(a.path))).toEqual(['first.zip'])
    for (const { path: file, size, sha256: digest } of end.artifacts ?? []) {
      expect([fs.statSync(file).size, sha256(file)]).toEqual([size, digest])
    }
    expect(leftovers(p)).toEqual([])

    const byId = await ratchet(['verify', String(end.id), '--data', p.data, '--json'])
    expect([byId.code, final(byId).status]).toEqual([0, 'completed'])
    const restored = await ratchet(['restore', '1', '--to', p.at('back'), '--data', p.data, '--json'])
    expect([restored.code, restored.err, final(restored).status]).toEqual([0, '', 'completed'])
    expectEqual(p.site, p.at('back/site'))
  })

  it('into JPA parts as well, from which the archive alone is enough', async () => {
    const p = place()
    const made = await ratchet(backup(p, '--name', 'j', '--format', 'jpa', '--part-size', '64K', '--level', '0'))
    expect([made.code, made.err]).toEqual([0, ''])
    const names = final(made).artifacts?.map((a) => path.basename(a.path)) ?? []
    expect([names[0], names.at(-1)]).toEqual(['j.j01', 'j.jpa'])
    const last = p.at('out/j.jpa')
    const other = ['--data', p.at('other'), '--json']
    expect((await ratchet(['verify', last, ...other])).code).toBe(0)
    expect((await ratchet(['restore', last, '--to', p.at('back'), ...other])).code).toBe(0)
    expectEqual(p.site, p.at('back/site'))
    fs.rmSync(p.at('out/j.j01'))
    expect((await ratchet(['restore', last, '--to', p.at('again'), ...other])).code).toBe(1)
  })

  it('needs only the archive: relative paths, another data folder', async () => {
    const p = place()
    await ratchet(['backup', 'site', '--to', 'out', '--data', 'data', '--name', 'a'], { cwd: p.folder })
    const verified = await ratchet(['verify', 'out/a.zip', '--data', 'other'], { cwd: p.folder })
    expect([verified.code, verified.err.includes('error')]).toEqual([0, false])
    expect(verified.out).toContain('is complete')
    const some = ['restore', 'out/a.zip', '--to', 'some', '--pattern', 'site/d1/**', '--data', 'other']
    expect((await ratchet(some, { cwd: p.folder })).code).toBe(0)
    expectEqual(p.at('site/d1'), p.at('some/site/d1'))
    expect(fs.existsSync(p.at('some/site/d3'))).toBe(false)
  })

  it('splits, leaves out and takes in as asked', async () => {
    const p = place()
    addBulk(p.site, 2)
    const made = await ratchet(
      backup(p, '--part-size', '256K', '--exclude', 'd3', '--exclude', '**/*1.txt', '--level', '1'),
    )
    expect(made.code).toBe(0)
    const parts = final(made).artifacts ?? []
    expect(parts.length).toBeGreaterThan(3)
    expect(Math.max(...parts.map((part) => part.size))).toBeLessThanOrEqual(256 * 1024)
    await ratchet(['restore', '1', '--to', p.at('back'), '--data', p.data])
    expect(fs.existsSync(p.at('back/site/d3'))).toBe(false)
    expect(fs.existsSync(p.at('back/site/d1/file 1.txt'))).toBe(false)
    expect(sha256(p.at('back/site/bulk'))).toBe(sha256(p.at('site/bulk')))
  })
})

describe('the dry run of a restore', () => {
  it('ends with 0, 3 or 1 like the restore, and touches nothing', async () => {
    const p = place()
    await ratchet(backup(p))
    const dry = (...more: string[]) => ratchet(['restore', '1', '--data', p.data, '--dry-run', '--json', ...more])
    const whole = await dry('--to', p.at('back'))
    expect([whole.code, whole.err]).toEqual([0, ''])
    expect(final(whole)).toMatchObject({
      ...{ kind: 'restore', status: 'completed', gaps: false, artifacts: [] },
      preview: { files: 61, replaced: 0, conflicts: 0, refused: 0, writable: true, owners: 'not_asked' },
    })
    expect(fs.existsSync(p.at('back'))).toBe(false)

    fs.mkdirSync(p.at('back/site/d1/file 1.txt'), { recursive: true })
    fs.mkdirSync(p.at('back/site/d2'))
    fs.writeFileSync(p.at('back/site/d2/file 2.txt'), 'mine')
    const before = fs.readdirSync(p.at('back'), { recursive: true })
    const times = before.map((name) => fs.lstatSync(p.at('back', String(name))).ctimeMs)
    const gaps = await dry('--to', p.at('back'), '--in-place')
    expect(gaps.code).toBe(3)
    expect(final(gaps)).toMatchObject({
      ...{ status: 'completed_with_warnings', gaps: true },
      preview: {
        ...{ files: 60, replaced: 1, conflicts: 1 },
        paths: {
          replaced: [{ path: 'site/d2/file 2.txt' }],
          conflicts: [{ path: 'site/d1/file 1.txt', why: 'a dir of this name is there already' }],
        },
      },
    })
    expect((await dry('--to', p.at('back'))).code).toBe(1)
    expect(fs.readdirSync(p.at('back'), { recursive: true })).toEqual(before)
    expect(before.map((name) => fs.lstatSync(p.at('back', String(name))).ctimeMs)).toEqual(times)
    const real = await ratchet(['restore', '1', '--data', p.data, '--to', p.at('back'), '--in-place', '--json'])
    expect([real.code, final(real)['gaps']]).toEqual([3, true])
  })
})

describe('stopping and going on', () => {
  it('SIGKILL: --resume finishes the same job; once more tells its end again', async () => {
    const p = place()
    addBulk(p.site, 16)
    let killed: Line | null = null
    const first = await ratchet(backup(p, '--slice', '60ms'), {
      onLine: (line, child) => {
        if (killed !== null || line.event !== 'step' || (line.percent ?? 0) < 10) return
        killed = line
        setTimeout(() => child.kill('SIGKILL'), 25)
      },
    })
    expect([first.signal, first.lines.some((line) => line.event === 'final')]).toEqual(['SIGKILL', false])
    const second = await ratchet(['backup', '--resume', '--data', p.data, '--json'])
    expect([second.code, final(second).number, final(second).status]).toEqual([0, 1, 'completed'])
    const again = await ratchet(['backup', '--resume', '--data', p.data, '--json'])
    expect(again.code).toBe(0)
    expect(again.lines.filter((line) => line.event === 'final')).toEqual([final(second)])
    expect(leftovers(p)).toEqual([])
    expect((await ratchet(['restore', '1', '--to', p.at('back'), '--data', p.data])).code).toBe(0)
    expectEqual(p.site, p.at('back/site'))
  })

  it.each(['SIGINT', 'SIGTERM'] as const)(
    '%s: ends the running step, leaves with 130 and says how to go on',
    async (signal) => {
      const p = place()
      addBulk(p.site, 16)
      let sent = 0
      const stopped = await ratchet(backup(p, '--slice', '60ms'), {
        onLine: (line, child) => {
          if (line.event === 'step' && sent === 0 && (line.percent ?? 0) >= 5) {
            sent = line.step ?? 0
            child.kill(signal)
          }
        },
      })
      expect(stopped.code).toBe(130)
      const end = final(stopped)
      expect(end).toMatchObject({ event: 'final', status: 'running', interrupted: true })
      expect(end.resume).toBe(`ratchet --data ${p.data} backup --resume 1`)
      expect(end.step).toBeLessThanOrEqual(sent + 2)
      const words = String(end.resume).split(' ').slice(1)
      const resumed = await ratchet([...words, '--json'])
      expect([resumed.code, final(resumed).number]).toEqual([0, 1])
      expect((final(resumed).step ?? 0) > (end.step ?? 0)).toBe(true)
    },
  )

  it('step by step, each with the number it awaits', async () => {
    const p = place()
    addBulk(p.site, 16)
    await ratchet(backup(p, '--slice', '60ms'), { onLine: (_line, child) => void child.kill('SIGINT') })
    const shown = await ratchet(['show', '1', '--data', p.data, '--json'])
    expect(final(shown).status).toBe('running')
    const at = final(shown).step ?? 0
    const one = ['step', '1', '--data', p.data, '--json', '--expect']
    const next = await ratchet([...one, String(at + 1), '--slice', '50ms'])
    expect([next.code, final(next).step]).toEqual([0, at + 1])
    const repeated = await ratchet([...one, String(at + 1)])
    expect([repeated.code, final(repeated).step]).toEqual([0, at + 1])
    const future = await ratchet([...one, String(at + 5)])
    expect([future.code, final(future).error?.code]).toEqual([1, 'STEP_OUT_OF_ORDER'])
    expect(final(await ratchet(['show', '1', '--data', p.data, '--json'])).step).toBe(at + 1)
  })
})

describe('looking after jobs', () => {
  it('lists, shows, logs, cancels, deletes', async () => {
    const p = place()
    addBulk(p.site, 16)
    const on = (...argv: string[]): string[] => [...argv, '--data', p.data, '--json']
    await ratchet(backup(p, '--exclude', 'bulk'))
    await ratchet(backup(p, '--slice', '60ms'), { onLine: (_line, child) => void child.kill('SIGINT') })
    const listed = await ratchet(on('list'))
    expect(listed.lines.map((line) => [line.number, line.status])).toEqual([
      [2, 'running'],
      [1, 'completed'],
    ])
    const log = await ratchet(on('log', '1'))
    expect(log.lines.length).toBeGreaterThan(3)
    expect(log.lines[0]).toMatchObject({ line: 1, level: expect.any(String), message: expect.any(String) })
    expect(final(await ratchet(on('delete', '2'))).error?.code).toBe('JOB_RUNNING')
    const cancelled = await ratchet(on('cancel', '2'))
    expect([cancelled.code, final(cancelled).status]).toEqual([0, 'cancelled'])
    expect(leftovers(p)).toEqual([])
    expect((await ratchet(on('delete', '1', '2'))).code).toBe(0)
    expect(fs.readdirSync(p.out)).toEqual([])
    expect((await ratchet(on('list'))).lines).toEqual([])
    expect(final(await ratchet(on('show', '1'))).error?.code).toBe('JOB_NOT_FOUND')
  })

  it('keeps profiles and runs them', async () => {
    const p = place()
    const file = p.at('profile.json')
    fs.writeFileSync(
      file,
      JSON.stringify({ name: 'Site', sources: [{ type: 'directory', path: p.site }], output: p.out }),
    )
    const saved = await ratchet(['profiles', 'save', file, '--data', p.data, '--json'])
    expect([saved.code, final(saved)['id']]).toEqual([0, 2])
    const ran = await ratchet(['backup', '--profile', '2', '--data', p.data, '--json'])
    expect([ran.code, final(ran).artifacts?.length]).toEqual([0, 1])
    const unknown = await ratchet(['backup', '--profile', '9', '--data', p.data, '--json'])
    expect([unknown.code, final(unknown).error?.code]).toEqual([1, 'PROFILE_NOT_FOUND'])
  })
})
