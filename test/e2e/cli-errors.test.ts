import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { compareTrees } from '../../bench/demo/compare.ts'
import { addBulk, final, MAIN, place, ratchet } from './helpers.ts'
import type { Options, Place, Ran } from './helpers.ts'

const backup = (p: Place, source: string, out: string, options: Options = {}): Promise<Ran> =>
  ratchet(['backup', source, '--to', out, '--data', p.data, '--json'], options)

/** Told on stderr in two lines (what, hint), in the last JSON line, and without a stack. */
function expectFailure(ran: Ran, code: number, error: string | RegExp): void {
  expect(ran.code).toBe(code)
  expect(final(ran)).toMatchObject({ event: 'final', status: 'failed', artifacts: [] })
  expect(final(ran).error?.code).toMatch(error)
  expect(ran.err).toMatch(/(^|\n)error: .+ \[[A-Z_]+\]\n {2}hint: .+\n$/)
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
    expectFailure(await ratchet(['verify', p.at('x.zip'), '--data', p.data, '--json']), 1, 'VERIFY_FAILED')
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
  it('3: a damaged archive gives back what is intact and names the rest', async () => {
    const p = place()
    addBulk(p.site, 2)
    const archive = final(await backup(p, p.site, p.out)).artifacts?.[0]?.path ?? ''
    const fd = fs.openSync(archive, 'r+')
    fs.writeSync(fd, 'damage', 200_000)
    fs.closeSync(fd)
    const verified = await ratchet(['verify', '1', '--data', p.data, '--json'])
    expectFailure(verified, 1, 'VERIFY_FAILED')
    const salvaged = await ratchet(['restore', archive, '--to', p.at('back'), '--salvage', '--data', p.data, '--json'])
    expect([salvaged.code, final(salvaged)['gaps']]).toEqual([3, true])
    expect(salvaged.lines.find((line) => line.event === 'warning')?.message).toContain('site/bulk')
    fs.rmSync(p.at('site/bulk'))
    fs.rmSync(p.at('back/site/bulk'), { force: true })
    const left = compareTrees(p.at('site/d1'), p.at('back/site/d1'))
    expect([left.entries > 5, left.differences]).toEqual([true, []])
  })

  it('3: what cannot be read is named, everything else is there', async () => {
    const p = place()
    const { name, uid } = makeUnreadable(p)
    const ran = await backup(p, p.site, p.out, uid === undefined ? {} : { uid })
    expect(ran.code).toBe(3)
    expect(final(ran)).toMatchObject({ event: 'final', status: 'completed_with_warnings', gaps: true })
    const warnings = ran.lines.filter((line) => line.event === 'warning').map((line) => line.message)
    expect(warnings.join('\n')).toContain(name)
    expect(final(ran).artifacts?.length).toBe(1)
    expect((await ratchet(['backup', '--resume', '--data', p.data])).code).toBe(3)
    expect((await ratchet(['restore', '1', '--to', p.at('back'), '--data', p.data])).code).toBe(0)
    fs.rmSync(p.at('site', name))
    expect(compareTrees(p.site, p.at('back/site')).differences).toEqual([])
  })
})

/**
 * A file that cannot be read. Root reads every file, so the backup runs as nobody then; where nobody
 * may not even read this checkout, a FIFO serves: it is never opened.
 */
function makeUnreadable(p: Place): { name: string; uid?: number } {
  const secret = p.at('site/secret')
  fs.writeFileSync(secret, 'secret', { mode: 0o000 })
  if (process.getuid?.() !== 0) return { name: 'secret' }
  const nobody = 65_534
  const probe = spawnSync(process.execPath, [MAIN, '--version'], { uid: nobody, gid: nobody, cwd: p.folder })
  if (probe.status === 0) {
    for (const file of walk(p.folder)) if (file !== secret) fs.lchownSync(file, nobody, nobody)
    return { name: 'secret', uid: nobody }
  }
  fs.rmSync(secret)
  spawnSync('mkfifo', [p.at('site/pipe')])
  return { name: 'pipe' }
}

function walk(folder: string): string[] {
  return [
    folder,
    ...fs.readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => path.join(folder, name)),
  ]
}
