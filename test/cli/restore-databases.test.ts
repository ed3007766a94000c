import { describe, expect, it } from 'vitest'
import { cli, FakeBackend } from './helpers/fake.ts'

describe('ratchet restore --database', () => {
  it('puts databases back into the server they came from, under their names or others', async () => {
    const backend = new FakeBackend()
    const { code } = await cli(['restore', '1', '--database', 'shop', '--database', 'wiki=wiki_test'], { backend })
    expect(code).toBe(0)
    expect(backend.started.at(-1)).toMatchObject({
      ...{ kind: 'restore', archive: 1 },
      databases: [{ name: 'shop' }, { name: 'wiki', database: 'wiki_test' }],
    })
    expect(backend.started.at(-1)).not.toHaveProperty('target')
  })

  it('takes a swap, a server, a scratch database, a foreign archive, and files beside it', async () => {
    const backend = new FakeBackend()
    const options = ['--database', 'shop', '--swap', '--scratch', 'tmp', '--server', 'main', '--db-type', 'mysql']
    await cli(['restore', '/x/a.zip', '--to', '/y', '--foreign', ...options], { backend })
    expect(backend.started.at(-1)).toMatchObject({
      ...{ archive: '/x/a.zip', target: '/y', foreign: true },
      databases: [{ name: 'shop', mode: 'swap', scratch: 'tmp', server: 'main', type: 'mysql' }],
    })
  })

  it.each([
    [['1'], 'nothing to restore into'],
    [['1', '--to', '/x', '--swap'], 'these options are about databases'],
    [['1', '--database', 'a', '--database', 'b', '--swap', '--scratch', 'x'], 'cannot take several'],
    [['1', '--database', 'a', '--db-type', 'oracle'], 'oracle'],
    [['--resume', '--database', 'a'], '--resume'],
  ])('says what is wrong with %j', async (args, said) => {
    const backend = new FakeBackend()
    const { code, err } = await cli(['restore', ...args], { backend })
    expect([code, err]).toEqual([2, expect.stringContaining(said)])
    expect(backend.started).toEqual([])
  })
})
