import fs from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { compareTrees, type Tree } from '../helpers/tree.ts'
import { NODES, ScriptWorld } from './script-world.ts'

const noise = (length: number, seed = 1): Buffer => {
  const bytes = Buffer.alloc(length)
  let x = seed
  for (let i = 0; i < length; i++) bytes[i] = (x = (Math.imul(x, 1_103_515_245) + 12_345) >>> 0) >>> 16
  return bytes
}

const TREE: Tree = {
  empty: '',
  text: { type: 'file', data: 'some text\n'.repeat(5000), mode: 0o640, mtime: 1_234_567_890.123_456 },
  old: { type: 'file', data: 'x', mtime: 1 },
  'run.sh': { type: 'file', data: '#!/bin/sh\n', mode: 0o755 },
  noise: noise(300_000),
  mixed: Buffer.concat([noise(700_000), Buffer.alloc(700_000), Buffer.from('end')]),
  large: Buffer.concat([noise(9 << 20), Buffer.alloc(9 << 20, 'abc')]),
  holes: { type: 'sparse', size: 5_000_000, data: { 0: 'a', 4_999_999: 'z' } },
  'name \uFFFDFF\uFFFD41': 'not UTF-8',
  'b\uFFFD5Ck': 'backslash',
  ünï: { cödé: 'x', 'empty folder': {} },
  locked: { type: 'folder', mode: 0o500, in: { inner: { type: 'folder', mode: 0o700, in: { file: 'deep' } } } },
  link: { type: 'link', to: 'text' },
  'link to nothing': { type: 'link', to: 'ünï/nothing' },
  twice: { type: 'hard', of: 'noise' },
}

describe.each(NODES)('restore.mjs on Node %s', (_version, program) => {
  it.each([
    ['deflated', {}],
    ['stored', { level: 0 }],
    ['in parts', { partSize: 1 << 20 }],
    ['from JPA', { format: 'jpa' }],
    ['from JPA in parts', { format: 'jpa', partSize: 1 << 20 }],
  ] as const)('brings back all that was there: %s', async (_how, changes) => {
    await using world = new ScriptWorld(TREE)
    const archive = await world.backup(changes)
    const target = world.target()
    const { code, err, out } = await world.run([archive, '--to', target], program)
    expect([err, code]).toEqual(['', 0])
    expect(out).toMatch(/^\d+ files and links, \d+ bytes, restored to /)
    expect(compareTrees(world.spine.source, path.join(target, 'source'))).toEqual([])
    expect(fs.readdirSync(target)).toEqual(['source'])
    expect((await world.run([archive, '--check'], program)).code).toBe(0)
  })

  it('goes on after being killed, again and again', async () => {
    await using world = new ScriptWorld(TREE)
    const archive = await world.backup({ partSize: 4 << 20 })
    const target = world.target()
    let killed = 0
    for (let wait = 30; wait < 2000; wait = Math.ceil(wait * 1.3)) {
      const child = world.start([archive, '--to', target], program)
      const ended = new Promise<boolean>((resolve) => child.once('exit', (code) => resolve(code !== null)))
      const timer = setTimeout(() => child.kill('SIGKILL'), wait)
      const done = await ended
      clearTimeout(timer)
      if (done) break
      killed++
    }
    expect(killed).toBeGreaterThan(3)
    const again = await world.run([archive, '--to', target], program)
    // Whole: either this run ended it, or the last one before did, and then the folder is not empty.
    if (again.code !== 0) expect(again.err).toContain('is not empty')
    expect(compareTrees(world.spine.source, path.join(target, 'source'))).toEqual([])
    expect(fs.readdirSync(target)).toEqual(['source'])
  })

  it('restores only what is asked for', async () => {
    await using world = new ScriptWorld(TREE)
    const archive = await world.backup()
    const target = world.target()
    expect((await world.run([archive, '--to', target, '--only', 'source/ünï'], program)).code).toBe(0)
    expect(fs.readdirSync(path.join(target, 'source'))).toEqual(['ünï'])
    const other = world.target()
    expect((await world.run([archive, '--to', other, '--only', '**/t*t'], program)).code).toBe(0)
    expect(fs.readdirSync(path.join(other, 'source'))).toEqual(['text'])
    const none = await world.run([archive, '--to', world.target(), '--only', 'nowhere/**'], program)
    expect([none.code, none.err]).toEqual([0, expect.stringContaining('nothing in the archive matches --only')])
    const own = world.target()
    const args = [archive, '--to', own, '--only', 'installation', '--with-installation']
    expect((await world.run(args, program)).code).toBe(0)
    expect(fs.readFileSync(path.join(own, 'installation/restore.mjs'), 'utf8')).toBe(
      fs.readFileSync(world.script, 'utf8'),
    )
    expect(fs.readFileSync(path.join(own, 'installation/README.txt'), 'utf8')).toContain('node restore.mjs BACKUP.zip')
  })
})

describe('restore.mjs refuses', () => {
  it('what it was not meant for, with a reason and exit code 2 or 1', async () => {
    await using world = new ScriptWorld({ a: 'a' })
    const archive = await world.backup({ partSize: 65_536, level: 0 })
    const full = world.target()
    fs.mkdirSync(full)
    fs.writeFileSync(path.join(full, 'mine'), 'mine')
    const cases: [string[], number, RegExp][] = [
      [[archive, '--to', full], 2, /is not empty/],
      [[archive], 2, /either --to FOLDER or --check/],
      [[archive, '--to', 'x', '--check'], 2, /either/],
      [[archive, '--to', 'x', '--bogus'], 2, /bogus/],
      [[archive, archive, '--check'], 2, /too many/],
      [['nothing.zip', '--check'], 1, /does not exist/],
      [['nothing.tar', '--check'], 2, /not called like an archive/],
      [['--check'], 2, /name the archive/],
    ]
    for (const [args, code, message] of cases) {
      const ended = await world.run(args)
      expect([ended.code, args], ended.err).toEqual([code, args])
      expect(ended.err).toMatch(message)
    }
    expect(fs.readdirSync(full)).toEqual(['mine'])
    expect((await world.run(['--help'])).out).toContain('--only PATTERN')
  })

  it('to go on with the unfinished restore of another archive', async () => {
    await using world = new ScriptWorld({ a: 'a' })
    const archive = await world.backup()
    const target = world.target()
    fs.mkdirSync(path.join(target, '.ratchet-restore'), { recursive: true })
    fs.writeFileSync(path.join(target, '.ratchet-restore/archive'), 'another')
    const { code, err } = await world.run([archive, '--to', target])
    expect([code, err]).toEqual([2, expect.stringContaining('another archive')])
  })
})
