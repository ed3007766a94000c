import { spawn } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { realDisk, type Disk } from '../../src/lib/disk.ts'
import { Keys, type Environment } from '../../src/settings/keys.ts'
import { MasterKey } from '../../src/settings/master-key.ts'
import { failure, temporary } from './temporary.ts'

const keysIn = (folder: string, env: Environment = {}): Keys => new Keys(realDisk, folder, env)
const idOf = (key: MasterKey): string => key.id.toString('hex')
const HEX = '00112233445566778899aabbccddeeff102132435465768798a9bacbdcedfe0f'

describe('the key file', () => {
  test('is made when it is first needed: for its owner alone, whole, and it stays', () => {
    const folder = path.join(temporary(), 'data')
    const file = path.join(folder, 'key')
    const keys = keysIn(folder)
    expect(failure(() => keys.present())).toMatchObject({
      code: 'STATE_DAMAGED',
      message: `the key ${file} is gone: passwords were sealed with it`,
    })
    expect(fs.existsSync(folder)).toBe(false)
    const made = keys.presentOrMade(false)
    expect(fs.statSync(file).mode & 0o777).toBe(0o600)
    const text = fs.readFileSync(file, 'utf8')
    expect(text).toBe(`${made.toText()}\n`)
    expect(fs.readdirSync(folder)).toEqual(['key'])
    for (const again of [keys.present(), keys.presentOrMade(true), keysIn(folder).presentOrMade(false)])
      expect(idOf(again)).toBe(idOf(made))
    expect(fs.readFileSync(file, 'utf8')).toBe(text)
  })

  test('is not made anew where something hangs on the one that is gone', () => {
    const folder = temporary()
    expect(failure(() => keysIn(folder).presentOrMade(true)).code).toBe('STATE_DAMAGED')
    expect(fs.readdirSync(folder)).toEqual([])
  })

  const whole = MasterKey.generate().toText()
  test.each([
    ['empty', '', 0o600, /is empty$/],
    ['a line feed', '\n', 0o600, /does not hold a whole key$/],
    ['cut', whole.slice(0, -1), 0o600, /does not hold a whole key$/],
    ['cut in the middle', whole.slice(0, 30), 0o600, /does not hold a whole key$/],
    ['of another make', HEX, 0o600, /does not hold a whole key$/],
    ['two keys', `${whole}\n${whole}\n`, 0o600, /does not hold a whole key$/],
    ['zero bytes', '\0'.repeat(60), 0o600, /does not hold a whole key$/],
    ['readable for all', whole, 0o644, /may be read by other accounts/],
    ['readable for the group', whole, 0o640, /may be read by other accounts/],
  ])('%s: an error that names it, and it is left as it is', (_, content, mode, said) => {
    const folder = temporary()
    const file = path.join(folder, 'key')
    fs.writeFileSync(file, content)
    fs.chmodSync(file, mode)
    for (const ask of [() => keysIn(folder).present(), () => keysIn(folder).presentOrMade(false)]) {
      const error = failure(ask)
      expect(error.code).toBe('STATE_DAMAGED')
      expect(error.message).toContain(file)
      expect(error.message).toMatch(said)
      expect(error.message).not.toContain(whole.slice(12, 25))
    }
    expect(fs.readFileSync(file, 'utf8')).toBe(content)
    expect(fs.readdirSync(folder)).toEqual(['key'])
  })

  test('as a folder or a link is none', () => {
    const folder = temporary()
    fs.mkdirSync(path.join(folder, 'key'))
    expect(failure(() => keysIn(folder).presentOrMade(false)).code).toBe('STATE_DAMAGED')
    const other = temporary()
    fs.writeFileSync(path.join(other, 'elsewhere'), whole, { mode: 0o600 })
    fs.symlinkSync('elsewhere', path.join(other, 'key'))
    expect(failure(() => keysIn(other).presentOrMade(false)).code).toBe('STATE_DAMAGED')
  })

  test('that cannot be read or written stops what wanted it', () => {
    const fails = (calls: readonly (keyof Disk)[]): Disk =>
      new Proxy(realDisk, {
        get: (disk, name: keyof Disk) => {
          if (!calls.includes(name)) return disk[name]
          return () => {
            throw Object.assign(new Error('EIO: it is broken'), { code: 'EIO' })
          }
        },
      })
    const folder = temporary()
    expect(failure(() => new Keys(fails(['datasync']), folder, {}).presentOrMade(false)).code).toBe('IO_ERROR')
    expect(fs.readdirSync(folder)).toEqual([])
    keysIn(folder).presentOrMade(false)
    expect(failure(() => new Keys(fails(['read']), folder, {}).present()).code).toBe('IO_ERROR')
  })

  test('made by many processes at once is one', async () => {
    const folder = temporary()
    const child = path.join(import.meta.dirname, 'key-child.ts')
    const spawned = Array.from({ length: 6 }, () => {
      const process_ = spawn(process.execPath, [child, folder], { stdio: ['pipe', 'pipe', 'inherit'] })
      const ready = new Promise((resolve) => process_.stdout.once('data', resolve))
      let out = ''
      process_.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
      const ended = new Promise((resolve) => process_.once('close', resolve)).then(() => out)
      return { go: () => process_.stdin.end('go'), ready, ended }
    })
    await Promise.all(spawned.map(({ ready }) => ready))
    for (const { go } of spawned) go()
    const said = await Promise.all(spawned.map(({ ended }) => ended))
    expect(new Set(said)).toEqual(new Set([`ready\n${idOf(keysIn(folder).present())}\n`]))
    expect(fs.readdirSync(folder)).toEqual(['key'])
  }, 60_000)
})

describe('a key from the environment', () => {
  test('counts in place of the file, which is then not made', () => {
    const folder = temporary()
    const keys = keysIn(folder, { RATCHET_KEY: ` ${HEX}\n` })
    keys.check()
    expect(idOf(keys.presentOrMade(true))).toBe(idOf(keys.present()))
    expect(fs.readdirSync(folder)).toEqual([])
    const file = path.join(temporary(), 'mounted')
    fs.writeFileSync(file, `${HEX}\n`, { mode: 0o400 })
    const link = path.join(temporary(), 'link')
    fs.symlinkSync(file, link)
    for (const name of [file, link])
      expect(idOf(keysIn(folder, { RATCHET_KEY_FILE: name }).presentOrMade(false))).toBe(idOf(keys.present()))
    expect(keysIn(folder, { RATCHET_KEY_FILE: file }).files).toEqual([path.join(folder, 'key'), file])
    expect(fs.readdirSync(folder)).toEqual([])
  })

  test.each([
    ['an empty one', { RATCHET_KEY: '' }, 'BAD_REQUEST'],
    ['a short one', { RATCHET_KEY: 'secret' }, 'BAD_REQUEST'],
    ['zeros', { RATCHET_KEY: '0'.repeat(64) }, 'BAD_REQUEST'],
    ['an empty path', { RATCHET_KEY_FILE: '' }, 'BAD_REQUEST'],
    ['a path that is not whole', { RATCHET_KEY_FILE: 'key' }, 'BAD_REQUEST'],
    ['a file that is not there', { RATCHET_KEY_FILE: '/nowhere/key' }, 'BAD_REQUEST'],
    ['both', { RATCHET_KEY: HEX, RATCHET_KEY_FILE: '/nowhere/key' }, 'BAD_REQUEST'],
  ])('%s is refused, and none is made in its place', (_, env, code) => {
    const folder = temporary()
    const keys = keysIn(folder, env)
    for (const ask of [() => keys.check(), () => keys.present(), () => keys.presentOrMade(false)]) {
      expect(failure(ask).code).toBe(code)
      expect(failure(ask).message).not.toContain('secret')
    }
    expect(fs.readdirSync(folder)).toEqual([])
  })

  test('whose file others may read is refused', () => {
    const file = path.join(temporary(), 'mounted')
    fs.writeFileSync(file, HEX)
    fs.chmodSync(file, 0o644)
    expect(failure(() => keysIn(temporary(), { RATCHET_KEY_FILE: file }).check()).code).toBe('STATE_DAMAGED')
  })
})
