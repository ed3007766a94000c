import fs from 'node:fs'
import path from 'node:path'
import zlib from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { buildZip, sample } from '../archive/build.ts'
import { compareTrees } from '../helpers/tree.ts'
import { ScriptWorld } from './script-world.ts'

/** Environment in which the script believes that a disk has room for so many bytes. */
function room(bytes: number): NodeJS.ProcessEnv {
  const code = `import fs from 'node:fs'; fs.statfsSync = () => ({ bavail: ${bytes}, bsize: 1 })`
  return { NODE_OPTIONS: `--import=data:text/javascript;base64,${Buffer.from(code).toString('base64')}` }
}

describe('restore.mjs', () => {
  it.each(['zip', 'jpa'] as const)(
    'finds a %s archive in any folder, from any folder, in any locale',
    async (format) => {
      await using world = new ScriptWorld({ 'ü\n': 'line feed', b: sample(300_000, 'noise') })
      const archive = await world.backup({ format, partSize: 65_536, level: 0 })
      const odd = path.join(world.spine.folder, 'a b\nü %41 #? *')
      fs.renameSync(world.spine.output, odd)
      fs.renameSync(world.script, path.join(odd, 'restore.mjs'))
      fs.chmodSync(path.join(odd, 'restore.mjs'), 0o444)
      fs.chmodSync(odd, 0o555)
      const there = new Proxy(world, {
        get: (of, key) => (key === 'script' ? path.join(odd, 'restore.mjs') : Reflect.get(of, key, of)),
      })
      const target = world.target()
      const args = [path.join(odd, path.basename(archive)), '--to', target]
      const { code, err } = await there.run(args, process.execPath, { LC_ALL: 'C', LANG: 'tr_TR', PWD: '/' })
      fs.chmodSync(odd, 0o755)
      expect([code, err]).toEqual([0, ''])
      expect(compareTrees(world.spine.source, path.join(target, 'source'))).toEqual([])
    },
  )

  it('leaves nothing behind of a check that fails', async () => {
    await using world = new ScriptWorld({ a: sample(9000, 'noise') })
    const archive = await world.backup()
    const temporary = path.join(world.spine.folder, 'tmp')
    fs.mkdirSync(temporary)
    const check = () => world.run([archive, '--check'], process.execPath, { TMPDIR: temporary })
    expect((await check()).code).toBe(0)
    const bytes = fs.readFileSync(archive)
    bytes.fill(0, bytes.length - 400, bytes.length - 300)
    fs.writeFileSync(archive, bytes)
    expect((await check()).code).toBe(1)
    expect(fs.readdirSync(temporary)).toEqual([])
  })

  it('leaves the target free when the archive cannot be read', async () => {
    await using world = new ScriptWorld({ a: sample(9000, 'noise') })
    const archive = await world.backup({ format: 'jpa' })
    const bytes = fs.readFileSync(archive)
    const target = world.target()
    fs.writeFileSync(archive, bytes.subarray(0, -1))
    expect((await world.run([archive, '--to', target])).code).toBe(1)
    fs.writeFileSync(archive, bytes)
    expect((await world.run([archive, '--to', target])).code).toBe(0)
  })

  it('takes an empty --to for a mistake, not for the folder it stands in', async () => {
    await using world = new ScriptWorld({ a: 'a' })
    const archive = await world.backup()
    const { code, err } = await world.run([archive, '--to', ''])
    expect([code, err]).toEqual([2, expect.stringContaining('names no folder')])
  })

  it('goes by what packed files may need, not by the length of their holes', async () => {
    await using world = new ScriptWorld({ disk: { type: 'sparse', size: 64 << 20, data: { 0: 'a' } } })
    const archive = await world.backup()
    const target = world.target()
    const { code, err } = await world.run([archive, '--to', target], process.execPath, room(8 << 20))
    expect([code, err]).toEqual([0, ''])
    expect(fs.statSync(path.join(target, 'source/disk')).blocks * 512).toBeLessThan(1 << 20)
    const none = await world.run([archive, '--to', world.target()], process.execPath, room(100_000))
    expect([none.code, none.err]).toEqual([1, expect.stringContaining('has room for 100000 bytes')])
  })

  it('names a path that no call can take, and restores the others', async () => {
    await using world = new ScriptWorld()
    const deep = Array.from({ length: 20 }, () => 'n'.repeat(240)).join('/')
    const archive = path.join(world.spine.folder, 'deep.zip')
    const items = [
      { name: `${deep}/file`, data: Buffer.from('x') },
      { name: 'z', data: Buffer.from('z') },
    ]
    fs.writeFileSync(archive, buildZip([{ name: 'a', data: Buffer.from('a') }, ...items]))
    const target = world.target()
    const { code, err } = await world.run([archive, '--to', target])
    expect([code, err]).toEqual([3, expect.stringContaining('ENAMETOOLONG')])
    expect(['a', 'z'].map((name) => fs.readFileSync(path.join(target, name), 'utf8'))).toEqual(['a', 'z'])
    expect(fs.existsSync(path.join(target, '.ratchet-restore'))).toBe(false)
  })
})

describe('the parts of an archive', () => {
  it.each(['zip', 'jpa'] as const)('%s: a missing one is named, a further one is none of it', async (format) => {
    await using world = new ScriptWorld({ big: sample(400_000, 'noise') })
    const archive = await world.backup({ format, partSize: 131_072, level: 0 })
    const parts = fs.readdirSync(world.spine.output).filter((name) => !name.endsWith(format))
    const letter = format === 'zip' ? 'z' : 'j'
    const further = archive.replace(/\.\w+$/, `.${letter}0${parts.length + 1}`)
    fs.writeFileSync(further, 'left by another')
    expect((await world.run([archive, '--check'])).err).toBe('')
    fs.rmSync(further)
    for (const name of parts) {
      const part = path.join(world.spine.output, name)
      fs.renameSync(part, `${part}.gone`)
      const { code, err } = await world.run([archive, '--check'])
      expect([code, err]).toEqual([1, expect.stringMatching(new RegExp(`${name}.* is missing`))])
      fs.renameSync(`${part}.gone`, part)
    }
    expect((await world.run([path.join(world.spine.output, parts[0] ?? ''), '--check'])).code).toBe(0)
  })
})

describe('what proves an archive', () => {
  /** Changes one letter in every place where the archive has this name. */
  function renamed(archive: string, name: string): string {
    const bytes = fs.readFileSync(archive)
    const shown = Buffer.from(name)
    for (let at = bytes.indexOf(shown); at >= 0; at = bytes.indexOf(shown, at + 1)) bytes[at + shown.length - 1] = 0x5f
    const copy = path.join(path.dirname(archive), `renamed${path.extname(archive)}`)
    fs.writeFileSync(copy, bytes)
    return copy
  }

  it.each([
    ['zip', 'installation/manifest.jsonl'],
    ['jpa', 'installation/seal.jsonl'],
  ] as const)('in %s is missed when %s goes by another name', async (format, name) => {
    await using world = new ScriptWorld({ a: 'a' })
    const copy = renamed(await world.backup({ format }), name)
    for (const args of [['--check'], ['--to', world.target()]]) {
      const { code, err } = await world.run([copy, ...args])
      expect([code, err]).toEqual([3, expect.stringContaining(`${name}: it is missing`)])
    }
  })

  it('proves our own entries too, where the format does not', async () => {
    await using world = new ScriptWorld({ a: 'a' })
    const archive = await world.backup({ format: 'jpa', level: 0 })
    const bytes = fs.readFileSync(archive)
    const at = bytes.indexOf('TO RESTORE IT you need')
    bytes[at] = 0x74
    fs.writeFileSync(archive, bytes)
    const { code, err } = await world.run([archive, '--check'])
    expect([code, err]).toEqual([3, expect.stringContaining('installation/README.txt: its content is not')])
  })

  it('is refused in words when it is no list at all', async () => {
    await using world = new ScriptWorld()
    const archive = path.join(world.spine.folder, 'odd.zip')
    const lines = ['not JSON', '[1]', 'null', `{"p":"${'x'.repeat(40 << 20)}`]
    for (const text of lines) {
      const manifest = { name: 'installation/manifest.jsonl', data: Buffer.from(`${text}\n`) }
      fs.writeFileSync(archive, buildZip([{ name: 'a', data: Buffer.from('a') }, manifest]))
      const { code, err } = await world.run([archive, '--check'])
      expect([code, err], text.slice(0, 20)).not.toEqual([0, ''])
      expect(err).not.toMatch(/at .*restore\.mjs:\d/)
    }
  })
})

describe('a file with several names', () => {
  it('is brought back under those whose own content is whole', async () => {
    await using world = new ScriptWorld({ a: 'one file '.repeat(400), b: { type: 'hard', of: 'a' } })
    const archive = await world.backup({ level: 0 })
    const bytes = fs.readFileSync(archive)
    const at = bytes.indexOf('one file one file')
    bytes[at] = 0x4f
    fs.writeFileSync(archive, bytes)
    const target = world.target()
    const { code, err } = await world.run([archive, '--to', target])
    expect([code, err]).toEqual([3, expect.stringMatching(/^source\/a: [^\n]*\n$/)])
    expect(fs.readFileSync(path.join(target, 'source/b'), 'utf8')).toBe('one file '.repeat(400))
    expect(fs.existsSync(path.join(target, 'source/a'))).toBe(false)
  })
})

it('a bomb of a manifest does not fill the disk', async () => {
  await using world = new ScriptWorld()
  const archive = path.join(world.spine.folder, 'bomb.zip')
  const data = Buffer.alloc(40 << 20)
  expect(zlib.deflateRawSync(data).length).toBeLessThan(100_000)
  fs.writeFileSync(archive, buildZip([{ name: 'installation/manifest.jsonl', data }]))
  const { code, err } = await world.run([archive, '--check'], process.execPath, room(1 << 20))
  expect([code, err]).toEqual([1, expect.stringContaining('no room for the list of files')])
})
