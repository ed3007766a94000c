import fs from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { openZip } from '../../src/archive/zip-reader.ts'
import { buildZip, memorySource, sample, type Item } from '../archive/build.ts'
import { base, crafted } from '../archive/craft.ts'
import * as hostile from '../archive/hostile-corpus.ts'
import { compareTrees, listTree, temporaryFolder } from '../helpers/tree.ts'
import { ScriptWorld } from './script-world.ts'

/** All files below a folder with their bytes, to see that nothing outside a target was touched. */
function fingerprint(folder: string): string[] {
  return [...listTree(folder)].map(([name, stat]) => {
    const content = stat.isFile() ? fs.readFileSync(path.join(folder, name)).toString('base64') : ''
    return `${name} ${stat.mode} ${stat.size} ${content}`
  })
}

describe('an archive that was damaged', () => {
  it('gives back what is whole, names the rest and ends with 3; nothing damaged is in place', async () => {
    await using world = new ScriptWorld({
      'a.txt': 'alpha '.repeat(500),
      'b.bin': Buffer.alloc(90_000, 7),
      'c.txt': 'gamma',
    })
    const archive = await world.backup({ level: 0 })
    const bytes = fs.readFileSync(archive)
    for (const [name, at] of [
      ['a.txt', bytes.indexOf('alpha alpha') + 100],
      ['b.bin', bytes.indexOf(Buffer.alloc(90_000, 7)) + 89_999],
      ['c.txt', bytes.indexOf('source/c.txt') - 30],
    ] as const) {
      const damaged = Buffer.from(bytes)
      damaged[at] = (damaged[at] ?? 0) ^ 1
      const copy = path.join(world.spine.folder, 'damaged.zip')
      fs.writeFileSync(copy, damaged)
      const target = world.target()
      const { code, out, err } = await world.run([copy, '--to', target])
      expect(out).toMatch(/: of 3 files and links, \d+ bytes 1 not; what is missing or damaged is named above/)
      expect([name, code, err]).toEqual([name, 3, expect.stringContaining(`source/${name}: `)])
      expect(compareTrees(world.spine.source, path.join(target, 'source'), { missing: [name] })).toEqual([])
      expect((await world.run([copy, '--check'])).code).toBe(3)
    }
  })

  it('is refused where it is cut off, or a part is missing', async () => {
    await using world = new ScriptWorld({ big: sample(400_000, 'noise') })
    const archive = await world.backup({ partSize: 131_072 })
    const [first = '', second = ''] = fs.readdirSync(world.spine.output).toSorted()
    fs.renameSync(path.join(world.spine.output, second), path.join(world.spine.folder, second))
    const missing = await world.run([archive, '--to', world.target()])
    expect([missing.code, missing.err]).toEqual([1, expect.stringMatching(/missing|damaged/)])
    fs.renameSync(path.join(world.spine.folder, second), path.join(world.spine.output, second))
    expect((await world.run([path.join(world.spine.output, first), '--check'])).code).toBe(0)
    fs.truncateSync(archive, fs.statSync(archive).size - 10)
    const cut = await world.run([archive, '--check'])
    expect([cut.code, cut.err]).toEqual([1, expect.stringContaining('cut off')])
    // The same command would end in the same way; what helps is named.
    const restored = await world.run([archive, '--to', world.target()])
    expect(restored.err).toContain('ratchet restore ARCHIVE --to FOLDER --salvage')
    expect([missing.err, restored.err].join()).not.toContain('the same command')
  })
})

describe('a JPA archive, whose format holds no checksum', () => {
  it('is refused when its manifest is damaged: the seal behind it says so', async () => {
    await using world = new ScriptWorld({ 'a.txt': 'alpha' })
    const archive = await world.backup({ format: 'jpa', level: 0 })
    const bytes = fs.readFileSync(archive)
    for (const [what, change] of [
      ['a digest', bytes.indexOf('"d":"sha256:', bytes.lastIndexOf('source/a.txt')) + 20],
      ['a name', bytes.lastIndexOf('source/a.txt') + 8],
    ] as const) {
      const damaged = Buffer.from(bytes)
      damaged[change] = (damaged[change] ?? 0) ^ 1
      const copy = path.join(world.spine.folder, 'damaged.jpa')
      fs.writeFileSync(copy, damaged)
      const { code, err } = await world.run([copy, '--check'])
      expect([what, code, err]).toEqual([what, 1, expect.stringContaining('manifest) is damaged')])
    }
    expect((await world.run([archive, '--check'])).code).toBe(0)
  })

  it.each(['zip', 'jpa'] as const)('alone in its file takes no part of another one for its own: %s', async (format) => {
    await using world = new ScriptWorld({ 'a.txt': 'alpha' })
    const archive = await world.backup({ format })
    fs.writeFileSync(archive.replace(/\.(zip|jpa)$/, format === 'zip' ? '.z01' : '.j01'), 'left by another')
    expect((await world.run([archive, '--check'])).err).toBe('')
  })
})

const link = (name: string, to: string): Item => ({ name, kind: 'symlink', data: Buffer.from(to) })
const text = (name: string | Buffer, data = 'evil'): Item => ({ name, data: Buffer.from(data) })

/** Archives that try to write where they must not; `code` 3: refused by name, `1`: refused whole. */
const ATTACKS: Readonly<Record<string, readonly Item[]>> = {
  'a path that goes up': [text('../evil')],
  'a path that goes up in its middle': [text('a/../../evil')],
  'an absolute path': [text('/tmp/ratchet-evil')],
  'a drive letter': [text('C:/evil')],
  'a backslash': [text('..\\evil')],
  'a NUL': [text('evil\0.txt')],
  'a dot': [text('./evil')],
  'an empty part': [text('a//evil')],
  'a name that is not UTF-8': [text(Buffer.from('evil\xff', 'latin1'))],
  'a link to elsewhere': [link('out', '/etc')],
  'a link that goes up': [link('a/out', '../../..')],
  'a link that goes up behind a name': [link('out', 'a/../../x')],
  'a file through a link': [link('out', '..'), text('out/evil')],
  'a file through a link inside': [link('in', 'a'), text('a/x'), text('in/evil')],
  'a folder over a file': [text('a'), text('a/evil')],
  'a second file of a name': [text('a', 'first'), text('a', 'second')],
  'a link over a file': [text('a'), link('a', 'b')],
  'a folder with data': [{ name: 'a', kind: 'dir', data: Buffer.from('data') }],
  'its own work folder': [text('.ratchet-restore/file-0'), text('.ratchet-restore/archive')],
}

describe('an archive that is hostile', () => {
  it.each(Object.entries(ATTACKS))('%s: nothing outside the target, no silence', async (_name, items) => {
    using outside = temporaryFolder()
    await using world = new ScriptWorld()
    const archive = path.join(outside.path, 'evil.zip')
    fs.writeFileSync(archive, buildZip([text('good', 'good'), ...items]))
    const before = fingerprint(outside.path)
    const target = path.join(outside.path, 'target')
    const { code, err } = await world.run([archive, '--to', target])
    expect([1, 3], err).toContain(code)
    expect(err).not.toMatch(/at .*restore\.mjs:\d/)
    fs.rmSync(target, { recursive: true, force: true })
    expect(fingerprint(outside.path)).toEqual(before)
    expect(fs.existsSync('/tmp/ratchet-evil')).toBe(false)
  })

  const crafts = Object.entries({
    ...hostile.localVersusCentral,
    ...hostile.directory,
    ...hostile.overlaps,
    ...hostile.ends,
    ...hostile.zip64,
    ...hostile.entries,
  }).filter(([, { bytes }]) => Buffer.isBuffer(bytes))

  it('crafted in any way ends, in words, and writes only below the target', async () => {
    using outside = temporaryFolder()
    await using world = new ScriptWorld()
    expect(crafts.length).toBeGreaterThan(40)
    for (const [name, { bytes }] of crafts) {
      const archive = path.join(outside.path, 'evil.zip')
      fs.writeFileSync(archive, bytes as Buffer)
      const before = fingerprint(outside.path)
      const target = path.join(outside.path, 'target')
      const { code, err } = await world.run([archive, '--to', target])
      expect([0, 1, 3], `${name}: ${err}`).toContain(code)
      expect(err, name).not.toMatch(/at .*restore\.mjs:\d/)
      fs.rmSync(target, { recursive: true, force: true })
      expect(fingerprint(outside.path), name).toEqual(before)
    }
    expect(openZip(memorySource(crafted(base))).count).toBeGreaterThan(0)
  }, 120_000)
})
