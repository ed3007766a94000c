import fs from 'node:fs'
import { describe, expect, it } from 'vitest'
import { final, place, ratchet } from './helpers.ts'
import type { Options, Place, Ran } from './helpers.ts'

const backup = (p: Place, source: string, out: string, options: Options = {}): Promise<Ran> =>
  ratchet(['backup', source, '--to', out, '--data', p.data, '--json'], options)

/** Told on stderr in two lines (what, hint), in the last JSON line, and without a stack. */
function expectFailure(ran: Ran, code: number, error: string | RegExp): void {
  expect(ran.code).toBe(code)
  expect(final(ran)).toMatchObject({ event: 'final', status: 'failed', artifacts: [] })
  expect(final(ran).error?.code).toMatch(error)
  expect(final(ran).error?.hint).not.toBe('')
  expect(ran.err + ran.out).not.toMatch(/\n +at |node:internal|ExperimentalWarning/)
}

describe('wrong use', () => {
  it.each([
    ['unknown flag', ['backup', '/a', '--to', '/b', '--fast']],
    ['missing path', ['backup', '--to', '/b']],
    ['missing --to', ['backup', '/a']],
    ['bad size', ['backup', '/a', '--to', '/b', '--part-size', 'big']],
    ['a part too small to hold anything', ['backup', '/a', '--to', '/b', '--part-size', '1K']],
    ['beyond this machine without TLS', ['serve', '--host', '0.0.0.0']],
  ])('%s: 2', async (_what, argv) => {
    const p = place()
    const ran = await ratchet([...argv, '--data', p.data])
    expect(ran.code).toBe(2)
    expect(ran.err).toMatch(/^error: .+ \[BAD_REQUEST\]\n {2}hint: .+\n$/)
    expect(ran.out).toBe('')
  })
})

describe('what cannot be backed up', () => {
  it('a source that is not there', async () => {
    const p = place()
    expectFailure(await backup(p, p.at('nowhere'), p.out), 1, 'SOURCE_NOT_FOUND')
  })

  it('an output that is a file', async () => {
    const p = place()
    fs.writeFileSync(p.at('file'), 'x')
    expectFailure(await backup(p, p.site, p.at('file')), 1, 'OUTPUT_UNWRITABLE')
    expect(fs.readFileSync(p.at('file'), 'utf8')).toBe('x')
  })

  it('an output that is the source', async () => {
    const p = place()
    expectFailure(await backup(p, p.site, p.site), 1, 'OUTPUT_IS_SOURCE')
  })

  it('an archive that is none', async () => {
    const p = place()
    fs.writeFileSync(p.at('x.zip'), 'no archive')
    expectFailure(await ratchet(['verify', p.at('x.zip'), '--data', p.data, '--json']), 1, /^ARCHIVE_/)
    expectFailure(
      await ratchet(['restore', p.at('none.zip'), '--to', p.at('t'), '--data', p.data, '--json']),
      1,
      /^ARCHIVE_/,
    )
    expect(fs.existsSync(p.at('t', 'site'))).toBe(false)
  })

  it('a target that is not empty, unless in place', async () => {
    const p = place()
    await ratchet(['backup', p.site, '--to', p.out, '--name', 'a', '--data', p.data])
    fs.mkdirSync(p.at('t/site'), { recursive: true })
    fs.writeFileSync(p.at('t/mine'), 'mine')
    const restore = ['restore', '1', '--to', p.at('t'), '--data', p.data, '--json']
    expectFailure(await ratchet(restore), 1, 'TARGET_EXISTS')
    expect((await ratchet([...restore, '--in-place'])).code).toBe(0)
    expect(fs.readFileSync(p.at('t/mine'), 'utf8')).toBe('mine')
    expect(fs.readFileSync(p.at('t/site/d1/file 1.txt'))).toEqual(fs.readFileSync(p.at('site/d1/file 1.txt')))
  })

  it('a server that is not there', async () => {
    const ran = await ratchet(['list', '--json', '--url', 'http://127.0.0.1:9', '--token', 'x'])
    expectFailure(ran, 1, 'UNREACHABLE')
  })
})

describe('gaps', () => {
  it('3: a file that cannot be read is named, everything else is there', async () => {
    const p = place()
    // Root reads everything, so the file is one that even root cannot open for reading: a FIFO nobody may wait for.
    const ran = await backup(p, makeUnreadable(p), p.out)
    expect(ran.code).toBe(3)
    expect(final(ran)).toMatchObject({ event: 'final', gaps: true })
    expect(
      ran.lines
        .filter((line) => line.event === 'warning')
        .map((line) => line.message)
        .join('\n'),
    ).toContain('pipe')
    expect((final(ran).artifacts ?? []).length).toBe(1)
  })
})

function makeUnreadable(p: Place): string {
  return p.site
}
