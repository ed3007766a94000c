import fs from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { EmbeddedBackend } from '../../src/cli/backend/embedded.ts'
import { RemoteBackend } from '../../src/cli/backend/remote.ts'
import type { Backend } from '../../src/cli/backend.ts'
import { RatchetClient } from '../../src/client/client.ts'
import { cutting, openDownloads, type DownloadWorld } from '../facade/download-world.ts'
import { cli, type Ran } from './helpers/fake.ts'

/** Browsing and downloading from the command line, in this process and through a server. */

let world: DownloadWorld
beforeAll(async () => {
  world = await openDownloads({ partSize: 1_200_000 })
})
afterAll(async () => world[Symbol.asyncDispose]())

const target = (name: string): string => {
  const folder = path.join(world.spine.folder, 'downloads', name)
  fs.mkdirSync(folder, { recursive: true })
  return path.join(folder, 'file')
}

const WAYS: readonly (readonly [string, () => Promise<Backend>])[] = [
  ['in this process', () => EmbeddedBackend.open(path.join(world.spine.folder, 'data'), [])],
  ['through a server', async () => new RemoteBackend(world.server.url, world.token, [])],
]

describe.each(WAYS)('%s', (way, open) => {
  const run = async (...argv: string[]): Promise<Ran> => cli(argv, { backend: await open() })
  const number = (): string => String(world.backup)

  test('browse: folders, pages, links, one JSON object a line', async () => {
    const top = await run('browse', number(), 'source/')
    expect(top.code).toBe(0)
    expect(top.out).toMatch(/^- {8}5 B .* source\/a\.txt$/m)
    expect(top.out).toMatch(/^d .* source\/deep\/$/m)
    expect(top.out).toMatch(/^l .* source\/link -> deep\/one$/m)
    const page = await run('browse', number(), 'source', '--limit', '2')
    expect(page.out).toMatch(/… and more \(--after source\/big\.bin\)/)
    const rest = await run('--json', 'browse', number(), 'source', '--after', 'source/big.bin', '-r')
    expect(rest.lines.map((line) => line['path'])).toEqual([
      'source/deep',
      'source/deep/one',
      'source/deep/one/empty',
      'source/deep/one/two',
      'source/deep/one/two/three.txt',
      'source/deep-er',
      'source/link',
      expect.stringMatching(/^b64:/) as string,
    ])
    expect((await run('browse', number(), 'none')).err).toMatch(/ENTRY_NOT_FOUND/)
  })

  test('download: all parts, one part, a file out of it, to standard output', async () => {
    const parts = await world.app.engine.artifacts(world.backup)
    expect(parts.length).toBeGreaterThan(1)
    const [first] = parts
    if (first === undefined) throw new Error('no part')
    const file = target(`${way} part`)
    const one = await run('--json', 'download', number(), '--part', '1', '-o', file)
    expect([one.code, one.err]).toEqual([0, ''])
    expect(one.lines).toMatchObject([{ event: 'downloaded', size: first.size, sha256: first.sha256 }])
    expect(fs.readFileSync(file).equals(fs.readFileSync(first.path))).toBe(true)
    expect(fs.existsSync(`${file}.part`)).toBe(false)
    const again = await run('download', number(), '--part', first.name, '-o', file)
    expect([again.code, again.err]).toEqual([1, expect.stringMatching(/TARGET_EXISTS/)])
    const entry = target(`${way} entry`)
    expect((await run('download', number(), '--entry', 'source/big.bin', '-o', entry)).code).toBe(0)
    expect(fs.readFileSync(entry).equals(world.big)).toBe(true)
    const shown = await run('download', number(), '--entry', 'source/deep/one/two/three.txt', '-o', '-')
    expect(shown.out).toBe('three')
    expect((await run('download', number(), '-o', entry)).code).toBe(2)
    expect((await run('download', number(), '--part', '1', '--entry', 'a')).code).toBe(2)
    expect((await run('download', number(), '--part', '99')).err).toMatch(/ARCHIVE_NOT_FOUND/)
    expect((await run('download', number(), '--entry', 'a/..')).code).toBe(2)
  })

  test('download goes on with what has come; what is wrong is noticed at the end', async () => {
    const [part] = await world.app.engine.artifacts(world.backup)
    if (part === undefined) throw new Error('no part')
    const bytes = fs.readFileSync(part.path)
    const begin = async (name: string, there: Buffer): Promise<{ file: string; ran: Ran }> => {
      const file = target(`${way} ${name}`)
      fs.writeFileSync(`${file}.part`, there)
      return { file, ran: await run('download', String(world.backup), '--part', '1', '-o', file) }
    }
    for (const [name, there] of [
      ['half', bytes.subarray(0, 1_034_567)],
      ['all', bytes],
      ['nothing', Buffer.alloc(0)],
    ] as const) {
      const { file, ran } = await begin(name, there)
      expect([name, ran.code, ran.err]).toEqual([name, 0, ''])
      expect(fs.readFileSync(file).equals(bytes)).toBe(true)
    }
    for (const [name, there] of [
      ['other bytes', Buffer.alloc(1000, 1)],
      ['too many', Buffer.concat([bytes, bytes])],
    ] as const) {
      const { file, ran } = await begin(name, there)
      // What cannot be gone on with is thrown away: the next try is a new one.
      const done = ran.code === 0 ? ran : await run('download', String(world.backup), '--part', '1', '-o', file)
      expect([name, done.code]).toEqual([name, 0])
      if (name === 'other bytes') expect(ran.err).toMatch(/VERIFY_FAILED/)
      expect(fs.readFileSync(file).equals(bytes)).toBe(true)
    }
  })
})

describe('a connection that breaks', () => {
  test('is taken up where it broke; a file in an archive begins again', async () => {
    const proxy = await cutting(world.server.url, 700_000)
    try {
      const backend = (): Backend => new RemoteBackend(proxy.url, world.token, [])
      const [part] = await world.app.engine.artifacts(world.backup)
      const file = target('broken')
      const ran = await cli(['download', String(world.backup), '--part', '1', '-o', file], { backend: backend() })
      expect([ran.code, ran.err]).toEqual([0, ''])
      expect(fs.readFileSync(file).equals(fs.readFileSync(part?.path ?? ''))).toBe(true)
    } finally {
      proxy.close()
    }
    const other = await cutting(world.server.url, 700_000)
    try {
      const file = target('broken entry')
      const backend = new RemoteBackend(other.url, world.token, [])
      const argv = ['download', String(world.backup), '--entry', 'source/big.bin', '-o', file]
      expect((await cli(argv, { backend })).code).toBe(0)
      expect(fs.readFileSync(file).equals(world.big)).toBe(true)
    } finally {
      other.close()
    }
  })

  test('the client tells what came from what was cut, and makes links', async () => {
    const client = new RatchetClient({ url: world.server.url, token: world.token })
    const [part] = await world.app.engine.artifacts(world.backup)
    const download = await client.download(world.backup, { part: 1 }, { from: 10, sha256: part?.sha256 ?? '' })
    expect([download.from, download.size, download.sha256]).toEqual([10, part?.size, part?.sha256])
    let size = 10
    for await (const piece of download.body) size += piece.length
    expect(size).toBe(part?.size)
    expect(await client.download(world.backup, { part: 1 }, { from: 10, sha256: '00'.repeat(32) })).toMatchObject({
      from: 0,
    })
    await expect(client.download(world.backup, { entry: 'none' })).rejects.toMatchObject({ code: 'ENTRY_NOT_FOUND' })
    await expect(client.download(999, { part: 1 })).rejects.toMatchObject({ code: 'JOB_NOT_FOUND' })
    const ticket = await client.createDownloadTicket(world.backup, { entry: 'source/a.txt' })
    expect(await (await fetch(ticket.url)).text()).toBe('alpha')
    const page = await client.browseBackup({ backupid: world.backup, path: 'source', limit: 1 })
    expect([page.entries[0]?.path, page.next]).toEqual(['source/a.txt', 'source/a.txt'])
    const proxy = await cutting(world.server.url, 1000)
    const cut = new RatchetClient({ url: proxy.url, token: world.token })
    const broken = await cut.download(world.backup, { part: 1 })
    const read = async (): Promise<void> => {
      for await (const piece of broken.body) expect(piece.length).toBeGreaterThan(0)
    }
    await expect(read()).rejects.toMatchObject({ name: 'ConnectionError' })
    proxy.close()
  })
})

test('files that were removed are told apart from an archive that never was', async () => {
  await using other = await openDownloads()
  const { backup, app } = other
  await app.engine.remove(backup, 'files')
  const backend = new RemoteBackend(other.server.url, other.token, [])
  for (const argv of [
    ['download', String(backup)],
    ['download', String(backup), '--part', '1'],
    ['browse', String(backup)],
    ['download', String(backup), '--entry', 'source/a.txt', '-o', target('gone')],
  ]) {
    const { code, err } = await cli(argv, { backend })
    // A download by its address tells no more than that nothing is there.
    expect([argv, code, err]).toEqual([argv, 1, expect.stringMatching(argv.includes('--entry') ? /browse it/ : GONE)])
  }
  const ticket = await other.rpc('createDownloadTicket', { BackupID: backup, part: 1 })
  expect(ticket['error']).toMatchObject({ message: expect.stringMatching(GONE) as string })
})

const GONE = /the files of backup \d+ were removed on request on 20\d\d-\S+ \S+ UTC\b(?!:)/
