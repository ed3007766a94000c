import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { RestorePreview } from '../../src/engine/services.ts'
import { cli, FakeBackend, jobState } from './helpers/fake.ts'

const FOUND: RestorePreview = {
  ...{ files: 2, folders: 1, links: 0, bytes: 3072 },
  ...{ replaced: 1, conflicts: 0, refused: 0, damaged: 0, special: 0 },
  ...{ need: 3072, free: 1 << 30, writable: true, owners: 'not_asked', xattrs: { entries: 0, settable: true } },
  paths: { replaced: [{ path: 'a\u001b' }], conflicts: [], refused: [], damaged: [] },
}

describe('restore and verify', () => {
  it('takes a number, an id or a path', async () => {
    const backend = new FakeBackend()
    backend.put(jobState({ number: 7, id: '20260629-121045-000007' }))
    await cli(['restore', '7', '--to', 'there'], { backend })
    await cli(['restore', '20260629-121045-000007', '--to', '/t', '--in-place', '--pattern', 'a/**'], { backend })
    await cli(['verify', 'site.zip', '--slice', '1s'], { backend })
    expect(backend.started).toEqual([
      { kind: 'restore', archive: 7, target: '/work-here/there', mode: 'new', pacing: expect.anything() },
      { kind: 'restore', archive: 7, target: '/t', mode: 'inplace', patterns: ['a/**'], pacing: expect.anything() },
      { kind: 'verify', archive: '/work-here/site.zip', pacing: { minMs: 0, maxMs: 1000, bias: 100 } },
    ])
  })

  it('hands on every option of a restore', async () => {
    const backend = new FakeBackend()
    const flags = ['--salvage', '--owners', '--setuid', '--outside-links', '--skip-installation', '--max-ratio', '50']
    await cli(['restore', 'a.zip', '--to', '/t', ...flags, '--max-size', '1G'], { backend })
    expect(backend.started[0]).toMatchObject({
      salvage: true,
      owners: true,
      setuid: true,
      outsideLinks: true,
      skipInstallation: true,
      limits: { ratio: 50, bytes: 1024 ** 3 },
    })
  })

  it('a dry run says what it found, to people and to programs, and ends with 0 or 3', async () => {
    const backend = new FakeBackend()
    const argv = ['restore', 'a.zip', '--to', '/t', '--in-place', '--dry-run']
    backend.found = FOUND
    const whole = await cli(argv, { backend })
    expect(backend.started[0]).toMatchObject({ kind: 'restore', mode: 'inplace', dryRun: true })
    expect(whole.code).toBe(0)
    expect(whole.out).toContain('Dry run 1: the restore can run; nothing was written')
    expect(whole.out).toContain('2 files, 1 folder, 0 links, 3.0 KiB')
    expect(whole.out).toContain('replaced  1 entry\n            a\\u001b\n')

    const gaps = new FakeBackend({ steps: 2, end: { status: 'completed_with_warnings', gaps: true } })
    const why = { path: '../x', why: 'it has a part ".."' }
    const refused = Array.from({ length: 12 }, () => why)
    gaps.found = {
      ...{ ...FOUND, conflicts: 1, refused: 150, special: 2, free: 10, writable: false, owners: 'not_permitted' },
      paths: { ...FOUND.paths, conflicts: [{ path: 'd', why: 'a dir of this name is there already' }], refused },
    }
    const ran = await cli(argv, { backend: gaps })
    expect(ran.code).toBe(3)
    expect(ran.out).toContain('the restore would have gaps; nothing was written')
    expect(ran.out).toContain('3.0 KiB needed, 10 B free: not enough')
    expect(ran.out).toContain('this account may not write into it')
    expect(ran.out).toContain('d: a dir of this name is there already')
    expect(ran.out.match(/\.\.\/x: it has a part/g)).toHaveLength(10)
    const json = await cli([...argv, '--json'], { backend: gaps })
    expect([json.code, json.lines.at(-1)]).toEqual([
      3,
      expect.objectContaining({ event: 'final', preview: gaps.found }),
    ])
    const other = await cli(['verify', 'a.zip', '--json'], { backend: new FakeBackend() })
    expect(other.lines.at(-1)).not.toHaveProperty('preview')
  })

  it('an id nobody knows', async () => {
    const ran = await cli(['verify', '20260629-121045-000009'])
    expect(ran.code).toBe(1)
    expect(ran.err).toContain('[JOB_NOT_FOUND]')
  })
})

describe('step', () => {
  it('does one slice and no more', async () => {
    const backend = new FakeBackend({ steps: 3 })
    backend.put(jobState())
    const ran = await cli(['step', '1', '--expect', '2', '--json'], { backend })
    expect(ran.code).toBe(0)
    expect(backend.stepped).toEqual([{ number: 1, options: { expect: 2 } }])
    expect(ran.lines).toEqual([expect.objectContaining({ status: 'running', step: 2, number: 1, artifacts: [] })])
  })

  it('has the code of the end once the job has ended', async () => {
    const backend = new FakeBackend({ steps: 2, end: { status: 'partial' } })
    backend.put(jobState())
    expect((await cli(['step', '1'], { backend })).code).toBe(3)
    expect((await cli(['step', '1'], { backend })).code).toBe(3)
  })
})

describe('looking', () => {
  it('lists a line per job', async () => {
    const backend = new FakeBackend()
    backend.put(jobState({ number: 1, description: 'first\u001b]0;x\u0007' }))
    backend.put(jobState({ number: 2, description: 'second' }))
    const text = await cli(['list'], { backend })
    expect(text.out.trimEnd().split('\n')).toHaveLength(3)
    expect(text.out).toContain('first\\u001b]0;x\\u0007')
    const json = await cli(['list', '--json'], { backend })
    expect(json.lines.map((line) => line['number'])).toEqual([2, 1])
    expect((await cli(['list'], { backend: new FakeBackend() })).out).toBe('no backup\n')
  })

  it('shows a job', async () => {
    const backend = new FakeBackend()
    backend.put(jobState({ ended: true, status: 'completed', finishedAt: 4000, archive: 'a' }))
    const text = await cli(['show', '1'], { backend })
    expect(text.out).toContain('Backup 1 is complete')
    expect(text.out).toContain(`sha256 ${'ab'.repeat(32)}`)
    const json = await cli(['show', '1', '--json'], { backend })
    expect(json.lines).toEqual([expect.objectContaining({ number: 1, finishedAt: '1970-01-01T00:00:04.000Z' })])
  })

  it('prints a log of any length, page by page', async () => {
    const backend = new FakeBackend()
    for (let line = 1; line <= 1203; line++)
      backend.logLines.push({ line, time: line, level: 'info', message: `m${line}\n` })
    const all = await cli(['log', '1', '--json'], { backend })
    expect(all.lines.map((line) => line['line'])).toEqual(backend.logLines.map((line) => line.line))
    const some = await cli(['log', '1', '--from', '1000', '--limit', '2'], { backend })
    expect(some.out.split('\n')).toEqual([expect.stringMatching(/info {2}m1000\\u000a$/), expect.any(String), ''])
    const last = await cli(['log', '1', '--tail', '3', '--json'], { backend })
    expect(last.lines.map((line) => line['line'])).toEqual([1201, 1202, 1203])
  })

  it('prints only what is grave enough, with all that is known of it', async () => {
    const backend = new FakeBackend()
    const levels = ['debug', 'info', 'warn', 'error'] as const
    for (let line = 1; line <= 1100; line++)
      backend.logLines.push({
        line,
        time: line,
        level: levels[line % 100 === 0 ? 3 : line % 2] ?? 'info',
        message: 'm',
      })
    const facts = { step: 2, stage: 'pack', domain: 'pack', code: 'INTERNAL', path: 'a/b' } as const
    const stack = 'Error: x\n    at y'
    backend.logLines.push({ line: 1101, time: 1, level: 'error', message: 'm', ...facts, stack })
    const json = await cli(['log', '1', '--level', 'warn', '--json'], { backend })
    expect(json.lines.map((line) => line['line'])).toEqual([
      ...Array.from({ length: 11 }, (_, i) => 100 * (i + 1)),
      1101,
    ])
    expect(json.lines.at(-1)).toEqual({
      ...{ line: 1101, level: 'error', message: 'm', time: '1970-01-01T00:00:00.001Z' },
      ...facts,
      stack,
    })
    const text = await cli(['log', '1', '--level', 'error', '--tail', '1'], { backend })
    expect(text.out).toMatch(/error m\n {2}Error: x\n {6}at y\n$/)
    expect((await cli(['log', '1', '--level', 'loud'], { backend })).code).toBe(2)
  })

  it('follows a running job to its end, and leaves at Ctrl-C', async () => {
    const backend = new FakeBackend()
    const job = backend.put(jobState({ status: 'running', ended: false }))
    const add = (message: string): void => {
      const line = backend.logLines.length + 1
      backend.logLines.push({ line, time: line, level: 'info', message })
    }
    add('first')
    let looks = 0
    backend.onLog = () => {
      if (++looks === 3) add('while it ran')
      if (looks === 5) {
        add('the last')
        backend.put({ ...job, status: 'completed', ended: true })
      }
    }
    const all = await cli(['log', '1', '--follow', '--json'], { backend })
    expect(all.lines.map((line) => line['message'])).toEqual(['first', 'while it ran', 'the last'])
    expect(all.code).toBe(0)
    backend.put(job)
    let send = (): void => undefined
    looks = 5
    backend.onLog = () => {
      if (++looks > 8) send()
    }
    const left = await cli(['log', '1', '-f'], { backend, signals: (given) => void (send = given) })
    expect(left.code).toBe(130)
    expect(left.out).toContain('the last')
  })
})

describe('ending', () => {
  it('cancels and deletes', async () => {
    const backend = new FakeBackend()
    backend.put(jobState())
    expect((await cli(['cancel', '1'], { backend })).out).toBe('backup 1: cancelled\n')
    expect((await cli(['delete', '1', '2', '--json'], { backend })).lines).toEqual([
      { event: 'deleted', number: 1 },
      { event: 'deleted', number: 2 },
    ])
    expect(backend.removed).toEqual([1, 2])
  })
})

describe('profiles', () => {
  const file = (text: string): string => {
    const folder = mkdtempSync(path.join(tmpdir(), 'ratchet-cli-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    writeFileSync(path.join(folder, 'p.json'), text)
    return path.join(folder, 'p.json')
  }

  it('lists, shows and deletes', async () => {
    expect((await cli(['profiles'])).out).toBe('   1  Default\n')
    expect(JSON.parse((await cli(['profiles', 'show', '3'])).out)).toEqual({ id: 3, name: 'Default', level: 6 })
    expect((await cli(['profiles', 'delete', '3'])).out).toBe('profile 3 is deleted\n')
  })

  it('saves what a file holds', async () => {
    const backend = new FakeBackend()
    const ran = await cli(['profiles', 'save', file('{"name":"x"}')], { backend })
    expect([ran.code, backend.saved]).toEqual([0, [{ name: 'x' }]])
  })

  it('names a file that is no JSON or is not there', async () => {
    const bad = await cli(['profiles', 'save', file('{"name":')])
    expect([bad.code, bad.err]).toEqual([1, expect.stringContaining('[PROFILE_INVALID]')])
    const none = await cli(['profiles', 'save', '/nowhere/p.json'])
    expect([none.code, none.err]).toEqual([2, expect.stringContaining('/nowhere/p.json')])
  })
})
