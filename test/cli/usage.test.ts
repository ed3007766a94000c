import { describe, expect, it } from 'vitest'
import { backupRequest } from '../../src/cli/commands/backup.ts'
import { cli, FakeBackend } from './helpers/fake.ts'

describe('wrong use ends with 2, says what and how, and starts nothing', () => {
  it.each([
    ['unknown command', ['bakup']],
    ['unknown flag', ['backup', '/a', '--to', '/b', '--fast']],
    ['no folder', ['backup']],
    ['no folder, with --to', ['backup', '--to', '/b']],
    ['an empty folder name', ['backup', '', '--to', '/b']],
    ['an empty --to', ['backup', '/a', '--to', '']],
    ['no --to', ['backup', '/a']],
    ['bad size', ['backup', '/a', '--to', '/b', '--part-size', '10X']],
    ['bad level', ['backup', '/a', '--to', '/b', '--level', '10']],
    ['bad slice', ['backup', '/a', '--to', '/b', '--slice', '2']],
    ['bad word for deflate', ['backup', '/a', '--to', '/b', '--deflate', 'never']],
    ['bad format', ['backup', '/a', '--to', '/b', '--format', 'rar']],
    ['folders that the type leaves out', ['backup', '/a', '--to', '/b', '--type', 'databases']],
    ['databases that the type leaves out', ['backup', '/a', '--to', '/b', '--type', 'files', '--sqlite', '/x.db']],
    ['name with a folder', ['backup', '/a', '--to', '/b', '--name', '../x']],
    ['resume with folders', ['backup', '/a', '--resume']],
    ['resume with --to', ['backup', '--resume', '--to', '/b']],
    ['bad id', ['show', '../1']],
    ['no id', ['show']],
    ['too many', ['show', '1', '2']],
    ['restore nothing', ['restore', '--to', '/b']],
    ['restore to nowhere', ['restore', '1']],
    ['resume with --dry-run', ['restore', '--resume', '--dry-run']],
    ['verify nothing', ['verify']],
    ['data and url', ['list', '--data', '/d', '--url', 'http://127.0.0.1:1']],
    ['url that is none', ['list', '--url', 'ftp://x']],
    ['serve beyond this machine', ['serve', '--host', '0.0.0.0']],
    ['serve elsewhere', ['serve', '--url', 'http://127.0.0.1:1']],
    ['bad port', ['serve', '--port', '65536']],
  ])('%s', async (_what, argv) => {
    const backend = new FakeBackend()
    const ran = await cli(argv, { backend })
    expect(ran.code).toBe(2)
    expect(ran.err).toMatch(/^error: .+ \[BAD_REQUEST\]\n {2}hint: .+\n$/)
    expect(ran.err).not.toMatch(/\bat .+:\d+:\d+/)
    expect(ran.out).toBe('')
    expect(backend.started).toEqual([])
  })

  it('bare ratchet shows the help and ends with 2; --help and --version end with 0', async () => {
    const bare = await cli([])
    expect(bare.code).toBe(2)
    expect(bare.err).toContain('Usage: ratchet')
    const help = await cli(['backup', '--help'])
    expect(help.code).toBe(0)
    expect(help.out).toContain('Examples:')
    const version = await cli(['--version'])
    expect([version.code, version.out]).toEqual([0, '1.2.3\n'])
  })

  it('no help tells of numbers that nobody would write', async () => {
    for (const name of ['log', 'browse', 'bench', 'list', 'audit list', 'audit'])
      expect((await cli([...name.split(' '), '--help'])).out).not.toMatch(/\d{7}/)
  })

  it('every command has a description and an example', async () => {
    for (const name of 'backup step restore verify list show log cancel delete profiles serve'.split(' ')) {
      const { code, out } = await cli([name, '--help'])
      expect(code).toBe(0)
      expect(out).toMatch(/Examples?:\n {2}ratchet /)
      expect(out).toContain('Global Options:')
    }
  })

  it('tells programs the same on stdout', async () => {
    const ran = await cli(['--json', 'backup'])
    expect(ran.code).toBe(2)
    expect(ran.lines).toEqual([
      { event: 'final', status: 'failed', artifacts: [], error: expect.objectContaining({ code: 'BAD_REQUEST' }) },
    ])
  })
})

describe('where Ratchet is', () => {
  const where = async (argv: string[], env: Record<string, string> = {}): Promise<unknown> =>
    (await cli(argv, { env })).reached[0]

  it('is a data folder unless a server is named', async () => {
    expect(await where(['list'])).toMatchObject({ where: 'data', dataDir: '/home/user/.local/state/ratchet' })
    expect(await where(['list'], { XDG_STATE_HOME: '/state' })).toMatchObject({ dataDir: '/state/ratchet' })
    expect(await where(['list'], { XDG_STATE_HOME: 'relative' })).toMatchObject({
      dataDir: '/home/user/.local/state/ratchet',
    })
    expect(await where(['list', '--data', 'd'])).toMatchObject({ dataDir: '/work-here/d' })
    expect(await where(['--data', '/d', 'list'], { RATCHET_DATA: '/other' })).toMatchObject({ dataDir: '/d' })
    expect(await where(['list'], { RATCHET_DATA: '/other' })).toMatchObject({ dataDir: '/other' })
  })

  it('is a server by flag or environment; the flag --data wins over the environment', async () => {
    const server = { where: 'server', url: 'http://127.0.0.1:1', token: 'secret' }
    expect(await where(['list', '--url', 'http://127.0.0.1:1/', '--token', 'secret'])).toMatchObject(server)
    const env = { RATCHET_URL: 'http://127.0.0.1:1', RATCHET_TOKEN: 'secret' }
    expect(await where(['list'], env)).toMatchObject(server)
    expect(await where(['list', '--data', '/d'], env)).toMatchObject({ where: 'data', dataDir: '/d' })
  })
})

describe('what backup asks for', () => {
  const resolve = (text: string): string => `/abs/${text}`

  it('everything, when no profile is named', () => {
    expect(
      backupRequest(['a', 'b'], { to: 'out', exclude: ['*.log'], partSize: 1000, name: 'x.zip' }, resolve),
    ).toEqual({
      kind: 'backup',
      overrides: {
        sources: [
          { type: 'directory', path: '/abs/a', exclude: ['*.log'] },
          { type: 'directory', path: '/abs/b', exclude: ['*.log'] },
        ],
        databases: [],
        type: 'full',
        output: '/abs/out',
        format: 'zip',
        archive: 'x',
        partSize: 1000,
        level: 6,
        retention: {},
        pacing: { minMs: 0, maxMs: 2000, bias: 100 },
      },
    })
  })

  it('another format, and what goes with it', () => {
    const asked = { to: 'out', format: 'jpa', deflate: 'always', name: 'x.jpa' } as const
    expect(backupRequest(['a'], asked, resolve).overrides).toMatchObject({
      format: 'jpa',
      deflate: 'always',
      archive: 'x',
    })
  })

  it('only what is given, when a profile is named', () => {
    expect(backupRequest([], { profile: 2 }, resolve)).toEqual({ kind: 'backup', profile: 2, overrides: {} })
    expect(backupRequest([], { profile: 2, level: 0, description: 'd' }, resolve)).toEqual({
      kind: 'backup',
      profile: 2,
      description: 'd',
      overrides: { level: 0 },
    })
    expect(() => backupRequest([], { profile: 2, exclude: ['x'] }, resolve)).toThrow(/patterns/)
  })

  it('databases alone, or beside folders, and the type of the backup', () => {
    const alone = backupRequest([], { to: 'out', sqlite: ['a.db', 'b.db'] }, resolve)
    expect(alone.overrides).toMatchObject({
      type: 'databases',
      databases: [
        { type: 'sqlite', path: '/abs/a.db' },
        { type: 'sqlite', path: '/abs/b.db' },
      ],
    })
    expect(alone.overrides).not.toHaveProperty('sources')
    expect(backupRequest([], { profile: 2, type: 'databases' }, resolve).overrides).toEqual({ type: 'databases' })
  })

  it('options and the rest of the line may come in any order', async () => {
    const backend = new FakeBackend()
    await cli(['backup', '--exclude', 'a', 'site', '--to', 'out', '--exclude', 'b', '--json'], { backend })
    expect(backend.started[0]).toMatchObject({
      overrides: { sources: [{ path: '/work-here/site', exclude: ['a', 'b'] }], output: '/work-here/out' },
    })
  })
})
