import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { execFileSync } from 'node:child_process'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { outcome } from '../../src/engine/job.ts'
import { realDisk, type Disk } from '../../src/lib/disk.ts'
import { FakeClock } from '../helpers/fake-clock.ts'
import { HASTY, putItems, restoreSpecOf, runJob, type TestItem } from '../stages/restore-world.ts'
import { fingerprint, makeArena, restoreAgain, restoreItems, type Arena } from './outside.ts'

const text = (content: string): Buffer => Buffer.from(content)
const link = (name: string, target: string | Buffer): TestItem => ({
  name,
  kind: 'symlink',
  data: Buffer.from(target as string),
})
const file = (name: string, content = name): TestItem => ({ name, data: text(content) })
const GOOD = file('good')

let arena: Arena
let before: Record<string, string>
beforeEach(() => {
  arena = makeArena()
  before = fingerprint(arena.outside)
})
afterEach(() => {
  expect(fingerprint(arena.outside)).toEqual(before)
  arena.dispose()
})

describe('links in the archive', () => {
  const LONG = 'x/'.repeat(3000)
  test.each<[string, (outside: string) => TestItem[]]>([
    ['absolute', (outside) => [link('l', outside)]],
    ['absolute, to a file', (outside) => [link('l', `${outside}/secret`)]],
    ['relative', () => [link('l', '../outside')]],
    ['relative, from below', () => [link('d/l', '../../outside/secret')]],
    ['down and up', () => [link('l', 'd/../../outside')]],
    ['up behind what may be a link', () => [link('here', '.'), link('l', 'here/../outside')]],
    ['a chain of lawful ones', () => [link('a/b/up', '../..'), link('l', 'a/b/up/..')]],
    ['dots and slashes', () => [link('l', './/.././outside')]],
    ['empty', () => [link('l', '')]],
    ['with a NUL', () => [link('l', 'good\0/../..')]],
    ['too long', () => [link('l', LONG)]],
    ['to the root', () => [link('l', '/')]],
    ['to our process', () => [link('l', '/proc/self/fd')]],
  ])('that leave the target are refused: %s', async (_, items) => {
    const { job, tree } = await restoreItems(arena, [...items(arena.outside), GOOD])
    expect(outcome(job)).toBe('completed_with_warnings')
    expect(tree['/l']).toBeUndefined()
    expect(tree['/d/l']).toBeUndefined()
    expect(tree['/good']).toBe('good')
    expect(job.parts[0]?.omitted).toBe(1)
  })

  test('that stay inside are made, also upwards and to what does not exist', async () => {
    const items = [file('d/e/f'), link('d/e/up', '../../good'), link('d/e/self', '.'), link('gone', 'no/such'), GOOD]
    const { job, tree } = await restoreItems(arena, [...items, link('through', 'd/e/../../good')])
    expect(outcome(job)).toBe('completed')
    expect(tree).toMatchObject({ '/d/e/up': '→ ../../good', '/gone': '→ no/such', '/through': '→ d/e/../../good' })
  })

  test('that leave it are made when asked for, and nothing goes through them', async () => {
    const items = [link('l', arena.outside), file('l/f'), file('l/deep/f', 'evil'), link('m', '../outside/secret')]
    const { job, tree } = await restoreItems(arena, items, { outsideLinks: true })
    expect(tree).toEqual({
      '/l': 'dir',
      '/l/deep': 'dir',
      '/l/deep/f': 'evil',
      '/l/f': 'l/f',
      '/m': '→ ../outside/secret',
    })
    expect(job.parts[0]?.omitted).toBe(1)
  })

  test('and a folder of the same name: its mode and time go to no target of a link', async () => {
    const folder: TestItem = { name: 'd', kind: 'dir', mode: 0o40777, mtime: 1 }
    const { tree } = await restoreItems(arena, [folder, link('d2', arena.outside), GOOD], { outsideLinks: true })
    expect(tree).toMatchObject({ '/d': 'dir', '/d2': `→ ${arena.outside}` })
  })
})

describe('links planted in the target', () => {
  const MANY = [...Array.from({ length: 40 }, (_, i) => file(`d/f${i}`)), { name: 'd', kind: 'dir' as const }]

  /** Steps with a safe point after each group; `plant` acts once, when there is something to act on. */
  async function disturbed(items: TestItem[], plant: () => boolean): Promise<ReturnType<typeof restoreItems>> {
    let planted = false
    const clock = new FakeClock({ perLook: 1 })
    return restoreItems(arena, items, HASTY, {
      clock,
      between: () => {
        if (!planted) planted = plant()
      },
    })
  }

  test('a folder swapped for a link between two steps', async () => {
    const at = path.join(arena.place.target, 'd')
    const big: TestItem = { name: 'd/big', data: Buffer.alloc(3 << 20, 1), how: 'store' }
    const { job } = await disturbed([file('d/a'), big, ...MANY], () => {
      if (!exists(at)) return false
      renameSync(at, `${at}.moved`)
      symlinkSync(arena.outside, at)
      return true
    })
    expect(outcome(job)).toBe('completed_with_warnings')
    expect(readlinkSync(at)).toBe(arena.outside)
  })

  test('a folder swapped for a link within a step, at every call', async () => {
    const at = path.join(arena.place.target, 'd')
    for (let nth = 1; nth <= 12; nth++) {
      let renames = 0
      const disk: Disk = {
        ...realDisk,
        rename(from, to) {
          if (String(from).includes('/n') && ++renames === nth) {
            renameSync(at, `${at}.moved`)
            symlinkSync(arena.outside, at)
          }
          realDisk.rename(from, to)
        },
      }
      putItems(disk, arena.place, [file('d/a'), file('d/b'), file('d/e/c'), file('d/x'), ...MANY.slice(0, 10)])
      await runJob(disk, arena.place, restoreSpecOf(arena.place))
      expect(fingerprint(arena.outside)).toEqual(before)
      rmSync(arena.place.root + '/data', { recursive: true })
      rmSync(arena.place.root + '/backups', { recursive: true })
      rmSync(arena.place.target, { recursive: true })
    }
  })

  test('a link at the name of a file that is yet to come is replaced, not followed', async () => {
    const target = path.join(arena.place.target, 'z')
    const big: TestItem = { name: 'a', data: Buffer.alloc(3 << 20, 1), how: 'store' }
    const { job } = await disturbed([big, file('z', 'new')], () => {
      if (!exists(arena.place.target)) return false
      symlinkSync(path.join(arena.outside, 'secret'), target)
      return true
    })
    expect(outcome(job)).toBe('completed')
    expect(readFileSync(target, 'utf8')).toBe('new')
    expect(lstatSync(target).isSymbolicLink()).toBe(false)
  })

  test('a link at the name of the staging folder', async () => {
    mkdirSync(arena.place.target)
    symlinkSync(arena.outside, path.join(arena.place.target, '.ratchet-20260629-121045-000001-1-new'))
    const { job } = await restoreItems(arena, [GOOD], {}, { unforeseen: true })
    expect(job.error?.code).toBe('TARGET_UNWRITABLE')
  })

  test.each(['link', 'folder'])('the staging folder swapped for another %s', async (kind) => {
    const big: TestItem = { name: 'a', data: Buffer.alloc(3 << 20, 1), how: 'store' }
    const { job } = await disturbed([big, file('z')], () => {
      const staging = path.join(arena.place.target, '.ratchet-20260629-121045-000001-1-new')
      if (!exists(staging)) return false
      renameSync(staging, `${staging}.moved`)
      if (kind === 'link') symlinkSync(arena.outside, staging)
      else mkdirSync(staging)
      return true
    })
    expect(job.error?.code).toBe('WORK_FILE_LOST')
  })
})

describe('what is in the way of a restore in place', () => {
  const inPlace = { mode: 'inplace' } as const
  beforeEach(() => mkdirSync(arena.place.target))
  const at = (name: string): string => path.join(arena.place.target, name)

  test('a link where a folder should be', async () => {
    symlinkSync(arena.outside, at('d'))
    const { job, tree } = await restoreItems(
      arena,
      [{ name: 'd', kind: 'dir', mode: 0o40777 }, file('d/f'), GOOD],
      inPlace,
    )
    expect(tree['/d']).toBe(`→ ${arena.outside}`)
    expect(tree['/good']).toBe('good')
    expect(job.parts[0]).toMatchObject({ omitted: 2, files: 1 })
    expect(job.warnings.recent.map(({ code }) => code)).toEqual(['refused_entry', 'refused_entry'])
  })

  test('a link, a folder or a pipe where a file should be', async () => {
    symlinkSync(path.join(arena.outside, 'secret'), at('l'))
    mkdirSync(at('d'))
    execFileSync('mkfifo', [at('p')])
    const { job } = await restoreItems(arena, [file('l'), file('d'), file('p'), GOOD], inPlace)
    expect(readlinkSync(at('l'))).toBe(path.join(arena.outside, 'secret'))
    expect(lstatSync(at('p')).isFIFO()).toBe(true)
    expect(job.parts[0]).toMatchObject({ omitted: 3, files: 1 })
  })

  test('a file where a folder or a link should be', async () => {
    writeFileSync(at('d'), 'mine')
    writeFileSync(at('l'), 'mine')
    const { job, tree } = await restoreItems(arena, [file('d/f'), link('l', 'good'), GOOD], inPlace)
    expect(tree).toEqual({ '/d': 'mine', '/good': 'good', '/l': 'mine' })
    expect(job.parts[0]?.omitted).toBe(2)
  })

  test('the archive itself is not replaced by what it holds', async () => {
    const inside = { ...arena, place: { ...arena.place, archive: at('a.zip') } }
    const { job } = await restoreItems(inside, [file('a.zip', 'evil'), GOOD], inPlace)
    expect(readFileSync(at('a.zip')).subarray(0, 2).toString()).toBe('PK')
    expect(job.warnings.recent[0]?.message).toContain('replace the archive itself')
  })

  test('existing files and folders are replaced and kept', async () => {
    mkdirSync(at('d'))
    chmodSync(at('d'), 0o711)
    writeFileSync(at('d/old'), 'old')
    writeFileSync(at('d/f'), 'old')
    const { job, tree } = await restoreItems(arena, [file('d/f', 'new')], inPlace)
    expect(outcome(job)).toBe('completed')
    expect(tree).toEqual({ '/d': 'dir', '/d/f': 'new', '/d/old': 'old' })
    expect(lstatSync(at('d')).mode & 0o7777).toBe(0o711)
    expect((await restoreAgain(arena, inPlace)).tree).toEqual(tree)
  })
})

function exists(at: string): boolean {
  return lstatSync(at, { throwIfNoEntry: false }) !== undefined
}
