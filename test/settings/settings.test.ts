import fs from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { realDisk } from '../../src/lib/disk.ts'
import { loadSettings, settingsSchema } from '../../src/settings/settings.ts'
import { failure, temporary } from './temporary.ts'

describe('settings', () => {
  test('defaults without a file; the file is written only when asked, for its owner only', () => {
    const folder = temporary()
    const file = path.join(folder, 'settings.json')
    const settings = loadSettings(realDisk, folder)
    expect(settings.listen).toEqual({ host: '127.0.0.1', port: 8731, behindTlsProxy: false, trustedProxies: [] })
    expect(settings.roots).toEqual({ sources: [], outputs: [], restores: [], archives: [] })
    expect(fs.existsSync(file)).toBe(false)
    loadSettings(realDisk, folder, { create: true })
    expect(fs.statSync(file).mode & 0o777).toBe(0o600)
    expect(loadSettings(realDisk, folder)).toEqual(settings)
  })

  test('proxies that are believed: addresses and networks, nothing else', () => {
    const parse = (entry: string): boolean => settingsSchema.safeParse({ listen: { trustedProxies: [entry] } }).success
    for (const good of ['127.0.0.1', '::1', '10.0.0.0/8', '2001:db8::/32'])
      expect([good, parse(good)]).toEqual([good, true])
    for (const bad of ['', '*', 'proxy.example', '10.0.0.0/33', '10.0.0', '127.0.0.1:80', 'true'])
      expect([bad, parse(bad)]).toEqual([bad, false])
  })

  test('what is absent gets its default', () => {
    const folder = temporary()
    fs.writeFileSync(path.join(folder, 'settings.json'), '{"roots":{"sources":["/srv"]},"listen":{"port":0}}')
    const settings = loadSettings(realDisk, folder)
    expect(settings.roots.sources).toEqual(['/srv'])
    expect(settings.listen).toEqual({ host: '127.0.0.1', port: 0, behindTlsProxy: false, trustedProxies: [] })
  })

  const bad: Record<string, [content: string | Uint8Array, said: RegExp]> = {
    empty: ['', /settings\.json cannot be understood/],
    torn: ['{"roots": {"sour', /settings\.json cannot be understood/],
    null: ['null', /expected object/],
    zero: ['0', /expected object/],
    'not UTF-8': [Buffer.from([0x7b, 0xff, 0x7d]), /settings\.json/],
    'unknown key': ['{"rots":{}}', /rots/],
    'relative root': ['{"roots":{"sources":["srv"]}}', /roots\.sources\.0: must be an absolute path/],
    'port as text': ['{"listen":{"port":"80"}}', /listen\.port/],
    'host with a port': ['{"allowedHosts":["a:80"]}', /allowedHosts\.0/],
  }
  for (const [name, [content, said]] of Object.entries(bad)) {
    test(`${name}: STATE_DAMAGED, named, never written over`, () => {
      const folder = temporary()
      const file = path.join(folder, 'settings.json')
      fs.writeFileSync(file, content)
      const before = fs.readFileSync(file)
      const error = failure(() => loadSettings(realDisk, folder, { create: true }))
      expect(error.code).toBe('STATE_DAMAGED')
      expect(error.message).toContain(file)
      expect(error.message).toMatch(said)
      expect(fs.readFileSync(file)).toEqual(before)
    })
  }

  test('a newer format is refused by name', () => {
    const folder = temporary()
    fs.writeFileSync(path.join(folder, 'settings.json'), '{"format":2,"future":true}')
    expect(failure(() => loadSettings(realDisk, folder))).toMatchObject({ code: 'STATE_TOO_NEW' })
  })

  test('a link in the place of the file is not followed', () => {
    const folder = temporary()
    fs.writeFileSync(path.join(folder, 'other'), '{}')
    fs.symlinkSync(path.join(folder, 'other'), path.join(folder, 'settings.json'))
    expect(failure(() => loadSettings(realDisk, folder)).code).toBe('STATE_DAMAGED')
  })
})
