import { createHash } from 'node:crypto'
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ArtifactInfo } from '../../src/engine/services.ts'
import { attachment } from '../../src/facade/disposition.ts'
import { spanOf } from '../../src/facade/range.ts'
import { openDownloads, type DownloadWorld } from './download-world.ts'
import { request } from './raw.ts'

async function partOf(world: DownloadWorld): Promise<ArtifactInfo & { bytes: Buffer; url: string }> {
  const [part] = await world.app.engine.artifacts(world.backup)
  if (part === undefined) throw new Error('no part')
  return { ...part, bytes: fs.readFileSync(part.path), url: `/download/${world.backup}/${part.name}` }
}

const bodyOf = async (response: Response): Promise<Buffer> => Buffer.from(await response.arrayBuffer())

describe('ranges', () => {
  const number = fc.oneof(fc.integer({ min: 0, max: 70 }), fc.constantFrom(99, 2 ** 31, 2 ** 53, 10 ** 30))

  test('one range is what slicing gives, or refused where there is nothing', () => {
    const whole = Buffer.from(Array.from({ length: 50 }, (_, i) => i))
    fc.assert(
      fc.property(fc.option(number), fc.option(number), fc.integer({ min: 0, max: 50 }), (first, last, size) => {
        const bytes = whole.subarray(0, size)
        const text = (value: number | null): string => (value === null ? '' : BigInt(value).toString())
        const span = spanOf(`bytes=${text(first)}-${text(last)}`, size)
        if (first === null && last === null) {
          expect(span).toBe('whole')
          return
        }
        const inverted = first !== null && last !== null && last < first
        const expected =
          first === null
            ? bytes.subarray(Math.max(0, size - (last ?? 0)))
            : bytes.subarray(first, last === null ? size : last + 1)
        if (inverted || expected.length === 0) {
          expect(span).toBe('refused')
          return
        }
        if (typeof span === 'string') throw new Error(span)
        expect(bytes.subarray(span.from, span.to)).toEqual(expected)
      }),
      { numRuns: 2000 },
    )
  })

  test('what is none is none; several are refused', () => {
    for (const header of [
      undefined,
      '',
      'bytes',
      'bytes=',
      'bytes=,',
      'bytes=a-b',
      'bytes=1-2x',
      'items=0-1',
      'bytes=0=99',
      'bytes=--1',
      'bytes=-',
    ])
      expect([header, spanOf(header, 10)]).toEqual([header, 'whole'])
    for (const header of [
      'bytes=0-0,2-3',
      `bytes=${'0-,'.repeat(1000)}`,
      'bytes=5-2',
      'bytes=-0',
      'bytes=10-',
      'bytes=0-1,0-1',
    ])
      expect([header.slice(0, 20), spanOf(header, 10)]).toEqual([header.slice(0, 20), 'refused'])
    expect(spanOf('BYTES= 0-0 ,', 10)).toEqual({ from: 0, to: 1 })
  })
})

describe('names for saving', () => {
  const unit = fc.oneof(fc.integer({ min: 0, max: 0x7f }), fc.integer({ min: 0, max: 0xffff }))
  const anyText = fc.array(unit, { maxLength: 20 }).map((units) => String.fromCharCode(...units))

  test('no name ends the header, names a folder, or carries a parameter', () => {
    fc.assert(
      fc.property(anyText, (name) => {
        const value = attachment(name)
        expect(value).toMatch(/^attachment; filename="[\x20-\x7e]*"(; filename\*=UTF-8''[\w.!~%-]*)?$/)
        expect(value.split('"').length).toBe(3)
        expect(value.split('"')[1]).not.toMatch(/[\\/;%]/)
      }),
    )
    expect(attachment('site.zip')).toBe('attachment; filename="site.zip"')
    expect(attachment('a"; filename=x\r\nX: y')).not.toMatch(/[\r\n]/)
    expect(attachment('dir/Größe.txt')).toBe(`attachment; filename="Gr__e.txt"; filename*=UTF-8''Gr%C3%B6%C3%9Fe.txt`)
  })
})

describe('a part', () => {
  test('whole, with what a client needs to prove and go on; HEAD says the same', async () => {
    await using world = await openDownloads()
    const part = await partOf(world)
    for (const url of [part.url, `/download/${world.backup}/1`]) {
      const got = await world.get(url)
      expect(got.status).toBe(200)
      expect(Object.fromEntries(got.headers)).toMatchObject({
        'accept-ranges': 'bytes',
        'cache-control': 'private, no-store',
        'content-disposition': `attachment; filename="${part.name}"`,
        'content-length': String(part.size),
        'content-security-policy': "default-src 'none'; sandbox",
        'content-type': 'application/octet-stream',
        'cross-origin-resource-policy': 'same-origin',
        etag: `"${part.sha256}"`,
        'x-content-type-options': 'nosniff',
      })
      const body = await bodyOf(got)
      expect(body.equals(part.bytes)).toBe(true)
      expect(got.headers.get('repr-digest')).toBe(`sha-256=:${createHash('sha256').update(body).digest('base64')}:`)
      const head = await world.get(url, { authorization: `Bearer ${world.token}`, range: 'bytes=0-1' }, 'HEAD')
      expect([head.status, head.headers.get('content-length'), head.headers.get('etag')]).toEqual([
        200,
        String(part.size),
        `"${part.sha256}"`,
      ])
      expect((await bodyOf(head)).length).toBe(0)
    }
  })

  test('by ranges, alone and under conditions', async () => {
    await using world = await openDownloads()
    const { url, bytes, size, sha256 } = await partOf(world)
    const etag = `"${sha256}"`
    const ask = async (headers: Record<string, string>): Promise<[number, string | null, Buffer]> => {
      const got = await world.get(url, { authorization: `Bearer ${world.token}`, ...headers })
      return [got.status, got.headers.get('content-range'), await bodyOf(got)]
    }
    for (const [range, from, to] of [
      ['bytes=0-0', 0, 1],
      ['bytes=5-', 5, size],
      ['bytes=-7', size - 7, size],
      [`bytes=1048570-1048590`, 1_048_570, 1_048_591],
      [`bytes=0-${size * 2}`, 0, size],
    ] as const) {
      const [status, content, body] = await ask({ range })
      expect([range, status, content]).toEqual([range, 206, `bytes ${from}-${to - 1}/${size}`])
      expect(body.equals(bytes.subarray(from, to))).toBe(true)
    }
    for (const range of [`bytes=${size}-`, 'bytes=-0', 'bytes=3-2', 'bytes=0-1,5-6'])
      expect((await ask({ range })).slice(0, 2)).toEqual([416, `bytes */${size}`])
    expect((await ask({ range: 'bytes=0-3', 'if-range': etag }))[0]).toBe(206)
    for (const other of ['"00"', `W/${etag}`, 'Mon, 29 Jun 2026 10:10:45 GMT']) {
      const [status, , body] = await ask({ range: 'bytes=0-3', 'if-range': other })
      expect([other, status, body.length]).toEqual([other, 200, size])
    }
    for (const header of [etag, `W/${etag}`, '*', `"x", ${etag}`]) {
      const [status, , body] = await ask({ 'if-none-match': header })
      expect([header, status, body.length]).toEqual([header, 304, 0])
    }
    expect((await ask({ 'if-none-match': '"x"' }))[0]).toBe(200)
    expect([(await ask({ 'if-match': '"x"' }))[0], (await ask({ 'if-match': etag }))[0]]).toEqual([412, 200])
  })

  test('ids and names that mean something to a file system lead nowhere', async () => {
    await using world = await openDownloads()
    const { name } = await partOf(world)
    fs.symlinkSync('/etc/passwd', path.join(world.spine.output, 'planted.zip'))
    fs.writeFileSync(path.join(world.spine.output, 'beside.zip'), 'not ours')
    const hostile = [
      ...[
        '..',
        '.',
        '../..',
        '%2e%2e',
        '%2e%2e%2f%2e%2e',
        '..%2f..%2fetc%2fpasswd',
        '%2fetc%2fpasswd',
        '..%5c',
        '%00',
        `${name}%00`,
      ],
      ...[
        'planted.zip',
        'beside.zip',
        'record',
        'spec.json',
        '0',
        '-1',
        '2',
        '1e0',
        '01',
        '+1',
        '%201',
        '%',
        '%zz',
        '%c0%ae%c0%ae',
        'constructor',
        '__proto__',
      ],
      ...[`./${name}`, `x/../${name}`, `${name}/`, `//${name}`, 'a'.repeat(5000)],
    ]
    const headers = ['Host', 'localhost', 'Authorization', `Bearer ${world.token}`]
    const bodies = new Set<string>()
    const ask = async (raw: string, statuses: readonly number[] = [404]): Promise<void> => {
      const got = await request(world.server.url, { path: raw, headers })
      expect(statuses, raw).toContain(got.status)
      bodies.add(got.body)
    }
    for (const one of hostile) {
      await ask(`/download/${world.backup}/${one}`)
      if (!['2', '01', '1e0', '%201', `./${name}`, `x/../${name}`].includes(one)) await ask(`/download/${one}/${name}`)
    }
    for (const one of [
      '999',
      '0',
      '-1',
      '1.0',
      '1e0',
      `0${world.backup}`,
      '9007199254740993',
      '20260101-000000-000001',
      '%7B%22$ne%22:1%7D',
    ])
      await ask(`/download/${one}/${name}`)
    expect([...bodies].filter((body) => /\/|passwd|ENOENT|node:/.test(body))).toEqual([])
    expect(bodies.size).toBeLessThanOrEqual(3)
    for (const one of [
      '..%2f..%2fetc%2fpasswd',
      '%2fetc%2fpasswd',
      'source/../source/a.txt',
      'source//a.txt',
      'source',
      'source%00',
      'b64:',
      'b64:Li4vLi4=',
    ])
      await ask(`/download/${world.backup}/entry?path=${one}`)
    await ask(`/download/${world.backup}/entry`, [400])
    await ask(`/download/${world.backup}/entry?path=`, [400])
    await ask(`/download/${world.backup}/entry?path=a&path=b`, [400])
  })

  test('another file under its name, or none: 404, and nothing of it', async () => {
    await using world = await openDownloads()
    const { url, path: file, bytes } = await partOf(world)
    fs.rmSync(file)
    expect((await world.get(url)).status).toBe(404)
    fs.symlinkSync('/etc/passwd', file)
    expect((await world.get(url)).status).toBe(404)
    fs.rmSync(file)
    fs.writeFileSync(file, Buffer.concat([bytes, bytes]))
    expect((await world.get(url)).status).toBe(404)
  })
})

describe('a file in the archive', () => {
  test('whole, under its own name, without ranges', async () => {
    await using world = await openDownloads()
    const url = `/download/${world.backup}/entry?path=${encodeURIComponent('source/big.bin')}`
    const got = await world.get(url, { authorization: `Bearer ${world.token}`, range: 'bytes=0-1' })
    expect([got.status, got.headers.get('content-length'), got.headers.get('accept-ranges')]).toEqual([
      200,
      String(world.big.length),
      'none',
    ])
    expect(got.headers.get('content-disposition')).toBe('attachment; filename="big.bin"')
    expect((await bodyOf(got)).equals(world.big)).toBe(true)
    const etag = got.headers.get('etag') ?? ''
    expect((await world.get(url, { authorization: `Bearer ${world.token}`, 'if-none-match': etag })).status).toBe(304)
    const head = await world.get(url, { authorization: `Bearer ${world.token}` }, 'HEAD')
    expect([head.status, head.headers.get('content-length')]).toEqual([200, String(world.big.length)])
  })

  test('damaged: an error, or a body that visibly ends early; never all of it', async () => {
    await using world = await openDownloads()
    const { path: file, bytes } = await partOf(world)
    const at = bytes.indexOf(world.big.subarray(1_500_000, 1_500_064))
    const fd = fs.openSync(file, 'r+')
    fs.writeSync(fd, Buffer.from([(bytes[at] ?? 0) ^ 1]), 0, 1, at)
    fs.closeSync(fd)
    const url = `/download/${world.backup}/entry?path=source/big.bin`
    const got = await world.get(url)
    expect([got.status, got.headers.get('content-length')]).toEqual([200, String(world.big.length)])
    await expect(bodyOf(got)).rejects.toThrow()
    expect((await bodyOf(await world.get(`/download/${world.backup}/entry?path=source/a.txt`))).toString()).toBe(
      'alpha',
    )
    const results = world.app.services.audit
      .read(undefined, 10)
      .entries.map(({ event, object, result }) => [event, object, result])
    expect(results.slice(-4)).toEqual([
      ['download', `job:${world.backup} entry`, 'begun'],
      ['download', `job:${world.backup} entry`, 'VERIFY_FAILED'],
      ['download', `job:${world.backup} entry`, 'begun'],
      ['download', `job:${world.backup} entry`, 'ok'],
    ])
  })
})

describe('whoever leaves, or may no longer have it', () => {
  const openHandles = (file: string): number =>
    fs.readdirSync('/proc/self/fd').filter((fd) => {
      try {
        return fs.readlinkSync(`/proc/self/fd/${fd}`) === file
      } catch {
        return false // closed meanwhile
      }
    }).length
  const until = async (done: () => boolean): Promise<void> => {
    for (let i = 0; i < 500 && !done(); i++) await new Promise((resolve) => setTimeout(resolve, 20))
    expect(done()).toBe(true)
  }

  /** More than the buffers between both ends take. */
  const LARGE = 40 << 20

  test('aborts close what was open', async () => {
    await using world = await openDownloads({ level: 0 }, LARGE)
    const { url, path: file } = await partOf(world)
    const { hostname, port } = new URL(world.server.url)
    for (const path of [url, `/download/${world.backup}/entry?path=source/big.bin`]) {
      for (let i = 0; i < 5; i++) {
        const socket = net.connect(Number(port), hostname).on('error', () => undefined)
        socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${world.token}\r\n\r\n`)
        await new Promise((resolve) => socket.once('data', resolve))
        socket.destroy()
      }
    }
    await until(() => {
      const { entries } = world.app.services.audit.read(undefined, 100)
      return entries.filter(({ event, result }) => event === 'download' && result === 'CANCELLED').length === 10
    })
    await world.app.services.archives.close()
    await until(() => openHandles(file) === 0)
    expect((await bodyOf(await world.get(url))).length).toBeGreaterThan(0)
  })

  test('a login that ends, ends its downloads', async () => {
    await using world = await openDownloads({ level: 0 }, LARGE)
    const { token, session } = await world.user('rita', 'restorer')
    const { hostname, port } = new URL(world.server.url)
    const socket = net.connect(Number(port), hostname).on('error', () => undefined)
    const closed = new Promise((resolve) => socket.once('close', resolve))
    socket.write(
      `GET /download/${world.backup}/entry?path=source/big.bin HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n\r\n`,
    )
    await new Promise((resolve) => socket.once('data', resolve))
    socket.pause()
    world.app.services.accounts.logout(session)
    await until(() => world.app.services.audit.read(undefined, 3).entries.at(-1)?.result === 'CANCELLED')
    socket.resume()
    await closed
  })
})
