import fs from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { createApp } from '../../src/app.ts'
import { realDisk, type Disk } from '../../src/lib/disk.ts'
import { buildJpa, buildZip } from '../archive/build.ts'
import { SpineWorld } from '../engine/spine-world.ts'
import { browse, bytesOf, fillSource, FORMS, names } from './world.ts'

/** Archives of the program itself, looked into by the program itself. */

/** Beyond what is digested as a whole. */
const LARGE = 17 << 20

/** On files below a folder. */
const openHandles = (folder: string): number =>
  fs.readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${fd}`).startsWith(folder)
    } catch {
      return false // closed meanwhile
    }
  }).length

describe.each(FORMS)('%s', (_, form) => {
  test('what it holds, folder by folder, with digests, times, links and names that are no text', async () => {
    await using world = new SpineWorld()
    const { big } = fillSource(world, LARGE)
    const app = await world.app()
    const { number, status } = await world.backup(app, form)
    expect(status).toBe('completed')
    expect(names(await browse(app, number))).toEqual(['source'])
    const odd = `b64:${Buffer.concat([Buffer.from('source/'), Buffer.from([0xff, 0xfe, 0x61])]).toString('base64')}`
    const top = await browse(app, number, 'source')
    expect(names(top)).toEqual(['source/a.txt', 'source/big.bin', 'source/deep', 'source/deep-er', 'source/link', odd])
    expect(top.entries.map(({ kind }) => kind)).toEqual(['file', 'file', 'dir', 'file', 'symlink', 'file'])
    const mtimeMs = Math.floor(fs.statSync(path.join(world.source, 'a.txt')).mtimeMs)
    expect(top.entries[0]).toMatchObject({ size: 5, mtimeMs, digest: expect.stringMatching(/^sha256:/) as string })
    expect(top.entries[1]).toMatchObject({ size: big.length, digest: expect.stringMatching(/^sha256-1m:/) as string })
    expect(top.entries[4]?.link?.toString()).toBe('deep/one')
    expect(names(await browse(app, number, 'source/deep/one', { recursive: true }))).toEqual([
      'source/deep/one/empty',
      'source/deep/one/two',
      'source/deep/one/two/three.txt',
    ])
    const page = await browse(app, number, 'source', { limit: 2 })
    expect([names(page).length, page.next?.toString()]).toEqual([2, 'source/big.bin'])
    expect(names(await browse(app, number, 'source', { limit: 2, after: page.next }))).toEqual([
      'source/deep',
      'source/deep-er',
    ])
    await expect(browse(app, number, 'source/none')).rejects.toMatchObject({ code: 'ENTRY_NOT_FOUND' })
    // The same without a record, from the archive alone.
    const last = (await app.services.engine.artifacts(number)).at(-1)?.path ?? ''
    expect(names(await browse(app, last, 'source'))).toEqual(names(top))
  })

  test('files out of it, whole and proven; what is no file is not there', async () => {
    await using world = new SpineWorld()
    const { big } = fillSource(world, LARGE)
    const app = await world.app()
    const { number } = await world.backup(app, form)
    const { archives } = app.services
    const get = async (name: string): Promise<Buffer> =>
      bytesOf(await archives.openEntry(number, Buffer.from(name, 'latin1')))
    expect((await get('source/big.bin')).equals(big)).toBe(true)
    expect((await get('source/deep/one/two/three.txt')).toString()).toBe('three')
    expect((await get('source/\xff\xfea')).toString()).toBe('not text')
    expect((await get('source/deep/one/empty')).length).toBe(0)
    for (const name of ['source', 'source/link', 'source/none', '../source/a.txt', '/etc/passwd', 'source/a.txt\0', ''])
      await expect(get(name), name).rejects.toMatchObject({ code: 'ENTRY_NOT_FOUND' })
  })

  test('a damaged entry never comes whole', async () => {
    await using world = new SpineWorld()
    const { big } = fillSource(world)
    const app = await world.app()
    const { number } = await world.backup(app, form)
    const artifacts = await app.services.engine.artifacts(number)
    for (const [, piece] of [
      ['first', 100],
      ['last', 1_500_000],
    ] as const) {
      const { file, at } = place(
        artifacts.map(({ path: name }) => name),
        big.subarray(piece, piece + 64),
      )
      const fd = fs.openSync(file, 'r+')
      fs.writeSync(fd, Buffer.from([(big[piece] ?? 0) ^ 1]), 0, 1, at)
      const outgoing = await app.services.archives.openEntry(number, Buffer.from('source/big.bin'))
      await expect(bytesOf(outgoing)).rejects.toMatchObject({
        code: expect.stringMatching(/VERIFY_FAILED|ARCHIVE_DAMAGED/) as string,
      })
      fs.writeSync(fd, big.subarray(piece, piece + 1), 0, 1, at)
      fs.closeSync(fd)
    }
    expect(
      (await bytesOf(await app.services.archives.openEntry(number, Buffer.from('source/big.bin')))).equals(big),
    ).toBe(true)
  })
})

/** Where bytes that were not compressible stand. */
function place(files: readonly string[], wanted: Buffer): { file: string; at: number } {
  for (const file of files) {
    const at = fs.readFileSync(file).indexOf(wanted)
    if (at >= 0) return { file, at }
  }
  throw new Error('the bytes are in no part')
}

describe('what lies there is what was published, or nothing', () => {
  test('gone, cut, exchanged by a link or a folder: not found', async () => {
    await using world = new SpineWorld()
    const app = await world.app()
    const { number } = await world.backup(app)
    const [part] = await app.services.engine.artifacts(number)
    if (part === undefined) throw new Error('no part')
    const { archives } = app.services
    const saved = fs.readFileSync(part.path)
    const other = path.join(world.folder, 'secret')
    fs.writeFileSync(other, saved)
    const swaps: (() => void)[] = [
      () => undefined,
      () => fs.writeFileSync(part.path, saved.subarray(1)),
      () => fs.symlinkSync(other, part.path),
      () => fs.mkdirSync(part.path),
    ]
    for (const swap of swaps) {
      fs.rmSync(part.path, { recursive: true, force: true })
      swap()
      await expect(archives.openPart(part, 0, 1)).rejects.toMatchObject({ code: 'ARCHIVE_NOT_FOUND' })
      await expect(browse(app, number)).rejects.toMatchObject({ code: 'ARCHIVE_NOT_FOUND' })
      await expect(archives.openEntry(number, Buffer.from('source/a.txt'))).rejects.toMatchObject({
        code: 'ARCHIVE_NOT_FOUND',
      })
    }
    fs.rmSync(part.path, { recursive: true })
    fs.writeFileSync(part.path, saved)
    expect(names(await browse(app, number, 'source'))).toEqual(['source/a.txt'])
  })

  test('jobs that have no archive', async () => {
    await using world = new SpineWorld()
    const app = await world.app()
    const begun = await app.engine.start({
      kind: 'backup',
      spec: world.spec({ pacing: { minMs: 0, maxMs: 1, bias: 100 } }),
    })
    await app.engine.cancel(begun.number)
    await expect(browse(app, begun.number)).rejects.toMatchObject({ code: 'ARCHIVE_NOT_FOUND' })
    await expect(browse(app, 99)).rejects.toMatchObject({ code: 'JOB_NOT_FOUND' })
    await expect(browse(app, path.join(world.folder, 'none.zip'))).rejects.toMatchObject({ code: 'ARCHIVE_NOT_FOUND' })
  })
})

describe('archives of others', () => {
  const items = ['b/z.txt', 'a.txt', 'b/c/d'].map((name) => ({ name, data: Buffer.from(name) }))

  test('are listed from their directory, or their headers', async () => {
    await using world = new SpineWorld()
    const app = await world.app()
    for (const [name, bytes] of [
      ['foreign.zip', buildZip(items)],
      ['foreign.jpa', buildJpa(items)],
    ] as const) {
      const file = path.join(world.folder, name)
      fs.writeFileSync(file, bytes)
      expect(names(await browse(app, file))).toEqual(['a.txt', 'b'])
      expect(names(await browse(app, file, '', { recursive: true }))).toEqual(['a.txt', 'b/c/d', 'b/z.txt'])
    }
    const { archives } = app.services
    const entry = await archives.openEntry(path.join(world.folder, 'foreign.zip'), Buffer.from('b/c/d'))
    expect((await bytesOf(entry)).toString()).toBe('b/c/d')
    // Nothing in it says what its content was.
    const unproven = archives.openEntry(path.join(world.folder, 'foreign.jpa'), Buffer.from('b/c/d'))
    await expect(unproven).rejects.toMatchObject({ code: 'ARCHIVE_UNSUPPORTED' })
  })
})

describe('handles', () => {
  test('whatever ends a download, and however many are left in the middle: all are closed', async () => {
    await using world = new SpineWorld()
    fillSource(world)
    let open = 0
    const disk: Disk = {
      ...realDisk,
      open: (file, mode) => {
        const fd = realDisk.open(file, mode)
        open++
        return fd
      },
      close: (fd) => {
        realDisk.close(fd)
        open--
      },
    }
    const app = await world.app({ disk })
    const { number } = await world.backup(app)
    const [part] = await app.services.engine.artifacts(number)
    if (part === undefined) throw new Error('no part')
    const { archives } = app.services
    const before = open
    for (let i = 0; i < 20; i++) {
      const one = await archives.openPart(part, 0, part.size)
      const other = await archives.openEntry(number, Buffer.from('source/big.bin'))
      for (let n = 0; n < i % 4; n++) await Promise.all([one.read(), other.read()])
      const pending = other.read()
      one.close()
      other.close()
      one.close()
      await pending
      expect(await one.read()).toBeNull()
    }
    await archives.close()
    for (let i = 0; i < 200 && open > before; i++) await new Promise((resolve) => setTimeout(resolve, 10))
    expect(open).toBe(before)
  })

  test('so many downloads at once, no more; a closed one makes room', async () => {
    await using world = new SpineWorld()
    const app = await world.app()
    const { number } = await world.backup(app)
    const [part] = await app.services.engine.artifacts(number)
    if (part === undefined) throw new Error('no part')
    const running = await Promise.all(Array.from({ length: 32 }, () => app.services.archives.openPart(part, 0, 1)))
    await expect(app.services.archives.openPart(part, 0, 1)).rejects.toMatchObject({ code: 'TOO_MANY_REQUESTS' })
    running[0]?.close()
    running[0]?.close()
    running[0] = await app.services.archives.openPart(part, 0, 1)
    await expect(app.services.archives.openPart(part, 0, 1)).rejects.toMatchObject({ code: 'TOO_MANY_REQUESTS' })
    for (const one of running) one.close()
  })

  test('in threads: the same answers, errors by their codes, no handle left', async () => {
    await using world = new SpineWorld()
    const { big } = fillSource(world)
    const inline = await world.app()
    const { number } = await world.backup(inline)
    const [part] = await inline.services.engine.artifacts(number)
    if (part === undefined) throw new Error('no part')
    await using app = await createApp({ dataDir: path.join(world.folder, 'data') })
    const { archives } = app.services
    expect(await browse(app, number, 'source')).toEqual(await browse(inline, number, 'source'))
    expect((await bytesOf(await archives.openEntry(number, Buffer.from('source/big.bin')))).equals(big)).toBe(true)
    const file = fs.readFileSync(part.path)
    expect((await bytesOf(await archives.openPart(part, 5, part.size - 3))).equals(file.subarray(5, -3))).toBe(true)
    await expect(browse(app, number, 'none')).rejects.toMatchObject({ code: 'ENTRY_NOT_FOUND' })
    const half = await archives.openPart(part, 0, part.size)
    await half.read()
    half.close()
    await archives.close()
    await inline.services.archives.close()
    expect(openHandles(world.output)).toBe(0)
  })
})
