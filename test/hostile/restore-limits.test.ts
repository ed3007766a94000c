import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { statSync } from 'node:fs'
import path from 'node:path'
import { outcome } from '../../src/engine/job.ts'
import { isOmission, type ManifestLine } from '../../src/archive/manifest.ts'
import { LIMITS, type TestItem } from '../stages/restore-world.ts'
import { sample } from '../archive/build.ts'
import { makeArena, restoreItems, type Arena } from './outside.ts'

const text = (content: string): Buffer => Buffer.from(content)
const GOOD: TestItem = { name: 'good', data: text('good') }

let arena: Arena
beforeEach(() => {
  arena = makeArena()
})
afterEach(() => arena.dispose())

describe('bombs', () => {
  test('an entry that unpacks to far more than it holds is refused before a byte is written', async () => {
    const { job, tree } = await restoreItems(arena, [{ name: 'zeros', data: Buffer.alloc(12 << 20), level: 9 }, GOOD])
    expect(job.error?.code).toBe('LIMIT_EXCEEDED')
    expect(tree).toEqual({})
  })

  test('unless the limit is raised', async () => {
    const limits = { ...LIMITS, ratio: 2000 }
    const { job } = await restoreItems(arena, [{ name: 'zeros', data: Buffer.alloc(12 << 20), level: 9 }], { limits })
    expect(outcome(job)).toBe('completed')
    const { size, blocks } = statSync(path.join(arena.place.target, 'zeros'))
    expect(size).toBe(12 << 20)
    expect(blocks).toBeLessThan(64)
  })

  test.each([
    ['entries', { ...LIMITS, entries: 1 }],
    ['bytes', { ...LIMITS, bytes: 5 }],
  ])('more than the limit: %s', async (_, limits) => {
    const { job, tree } = await restoreItems(arena, [GOOD, { name: 'more', data: text('more') }], { limits })
    expect(job.error?.code).toBe('LIMIT_EXCEEDED')
    expect(tree).toEqual({})
  })
})

describe('rights', () => {
  const ITEMS: TestItem[] = [
    { name: 'd', kind: 'dir', mode: 0o43777 },
    { name: 'd/root', data: text('x'), mode: 0o104755 },
    { name: 'd/both', data: text('y'), mode: 0o106711 },
  ]
  const modeOf = (name: string): number => statSync(path.join(arena.place.target, name)).mode & 0o7777

  test('setuid, setgid and sticky bits are left out and named', async () => {
    const { job } = await restoreItems(arena, ITEMS)
    expect([modeOf('d'), modeOf('d/root'), modeOf('d/both')]).toEqual([0o777, 0o755, 0o711])
    expect(job.warnings.recent.map(({ code }) => code)).toEqual(['metadata', 'metadata', 'metadata'])
  })

  test('unless asked for, as root', async () => {
    const { job } = await restoreItems(arena, ITEMS, { setuid: true }, { parts: { root: true } })
    expect([modeOf('d'), modeOf('d/root'), modeOf('d/both')]).toEqual([0o3777, 0o4755, 0o6711])
    expect(job.warnings.total).toBe(0)
    const other = makeArena()
    await restoreItems(other, ITEMS, { setuid: true }, { parts: { root: false } })
    expect(statSync(path.join(other.place.target, 'd/root')).mode & 0o7777).toBe(0o755)
    other.dispose()
  })

  test('attributes that give rights are set only when asked for', async () => {
    const xattrs = {
      'user.a': 'YQ==',
      'security.capability': 'Yg==',
      'trusted.x': 'Yw==',
      'system.posix_acl_access': 'ZA==',
    }
    const items: TestItem[] = [
      { ...GOOD, xattrs },
      { name: 'dir', kind: 'dir', xattrs: { 'user.=\n': 'ZQ==' } },
    ]
    const given: string[] = []
    const parts = {
      setfattr: '/usr/bin/setfattr',
      run: (_program: string, args: readonly string[], options: { cwd?: string; input?: Uint8Array }) => {
        given.push(`${args.join(' ')}\n${Buffer.from(options.input ?? []).toString()}`)
        return { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0), code: 0, overflow: false }
      },
    }
    const { job } = await restoreItems(arena, items, {}, { parts, manifest: true })
    expect(outcome(job)).toBe('completed')
    expect(given[0]).toBe('--restore=-\n# file: n0\nuser.a=0sYQ==\nsystem.posix_acl_access=0sZA==\n')
    expect(given[1]).toMatch(/^--restore=-\n# file: \/proc\/\d+\/fd\/\d+\nuser\.\\075\\012=0sZQ==\n$/)
    const other = makeArena()
    given.length = 0
    await restoreItems(other, items, { setuid: true }, { parts: { ...parts, root: true }, manifest: true })
    expect(given[0]).toContain('security.capability=0sYg==')
    other.dispose()
  })

  test('attributes that cannot be set are said once', async () => {
    const items = ['a', 'b'].map((name): TestItem => ({ name, data: text(name), xattrs: { 'user.a': 'YQ==' } }))
    const { job, tree } = await restoreItems(arena, items, {}, { manifest: true })
    expect(tree).toEqual({ '/a': 'a', '/b': 'b' })
    expect(job.warnings.recent.map(({ code }) => code)).toEqual(['not_restored'])
  })
})

describe('a manifest that lies', () => {
  const changed = (change: Record<string, unknown>) => (line: ManifestLine) => ({ ...line, ...change }) as ManifestLine
  test.each<[string, TestItem, string]>([
    ['about the digest', { ...GOOD, line: changed({ digest: `sha256:${'0'.repeat(64)}` }) }, 'digest'],
    ['about the size', { ...GOOD, line: changed({ size: 5 }) }, 'bytes'],
    ['about the kind', { ...GOOD, line: changed({ type: 'dir' }) }, 'manifest lists it as a dir'],
    [
      'about the digest of a large file',
      { name: 'good', data: sample(3 << 20), how: 'blocks', line: changed({ digest: `sha256-1m:${'0'.repeat(64)}` }) },
      'digest',
    ],
  ])('%s: the entry is not restored', async (_, item, why) => {
    const { job, tree, warnings } = await restoreItems(
      arena,
      [item, { name: 'z', data: text('z') }],
      {},
      { manifest: true, unforeseen: why === 'digest' },
    )
    expect(tree).toEqual({ '/z': 'z' })
    expect(warnings[0]).toContain(why)
    expect(job.warnings.recent.map(({ code }) => code)).toEqual(['damaged_entry'])
  })

  test('about what there is: what it lists and the archive lacks is named, and nothing else is done about it', async () => {
    const line = (name: string) => (given: ManifestLine) => ({ ...given, path: text(name) })
    const items: TestItem[] = [{ name: 'a', data: text('a'), line: line('../../evil') }, GOOD]
    const { tree, warnings } = await restoreItems(arena, items, {}, { manifest: true })
    expect(tree).toEqual({ '/a': 'a', '/good': 'good' })
    expect(warnings).toEqual(['../../evil: the manifest lists it, and the archive does not hold it'])
  })

  test.each([
    ['garbage', 'garbage\n'],
    ['an endless line', `${'x'.repeat(3 << 20)}`],
    ['a number that is none', '{"p":"good","t":"file","s":1e999,"m":"1","mode":1,"u":0,"g":0}\n'],
    ['prototypes', '{"__proto__":{"p":"good"}}\n'],
  ])('altogether: %s', async (_, manifest) => {
    const items: TestItem[] = [
      GOOD,
      { name: 'installation/manifest.json', data: text('{}') },
      { name: 'installation/manifest.jsonl', data: text(manifest) },
    ]
    const { job, tree } = await restoreItems(arena, items)
    expect(tree).toEqual({ '/good': 'good' })
    expect(outcome(job)).toBe('completed_with_warnings')
  })

  test('leaves out an entry: that one is checked by its CRC alone', async () => {
    const { job, tree } = await restoreItems(
      arena,
      [
        { ...GOOD, line: null },
        { name: 'z', data: text('z') },
      ],
      {},
      { manifest: true },
    )
    expect(tree).toEqual({ '/good': 'good', '/z': 'z' })
    expect(outcome(job)).toBe('completed')
  })

  test('is only what it says: omissions are no entries', async () => {
    const items: TestItem[] = [
      { ...GOOD, line: (line) => (isOmission(line) ? line : { path: line.path, omitted: 'unreadable' }) },
      { name: 'z', data: text('z') },
    ]
    const { job, tree } = await restoreItems(arena, items, {}, { manifest: true })
    expect(tree).toEqual({ '/good': 'good', '/z': 'z' })
    expect(outcome(job)).toBe('completed')
  })
})
