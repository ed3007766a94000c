import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { compareTrees, type Tree } from '../helpers/tree.ts'
import { NODES, ScriptWorld } from './script-world.ts'
import { stopAt } from './stop-hook.ts'

/** What only its owner's special rights could get at, where the backup is made with them. */
const [NOTHING, NO_READING] = process.getuid?.() === 0 ? [0o000, 0o200] : [0o500, 0o400]

const TREE: Tree = {
  text: { type: 'file', data: 'some text\n'.repeat(500), mtime: 1_234_567_890 },
  secret: { type: 'file', data: 'no one reads this', mode: NO_READING },
  shut: { type: 'folder', mode: NOTHING, in: { inner: { type: 'folder', mode: 0o500, in: { file: 'deep' } } } },
  link: { type: 'link', to: 'text' },
  twice: { type: 'hard', of: 'text' },
  empty: {},
}

/** A world in which a user without rights may restore into the folder that is returned. */
async function open(tree: Tree): Promise<{ world: ScriptWorld; archive: string; target: (n: number) => string }> {
  const world = new ScriptWorld(tree)
  fs.chmodSync(world.spine.folder, 0o755)
  fs.chmodSync(world.spine.output, 0o755)
  const archive = await world.backup({ format: 'jpa' })
  fs.chmodSync(archive, 0o644)
  const folder = path.join(world.spine.folder, 'restored')
  fs.mkdirSync(folder)
  fs.chmodSync(folder, 0o777)
  return { world, archive, target: (n) => path.join(folder, String(n)) }
}

describe.each(NODES)('killed before any of its calls, restore.mjs on Node %s', (_version, program) => {
  it.each(['main', 'second'] as const)('goes on to the same end: %s thread', { timeout: 240_000 }, async (thread) => {
    const { world, archive, target } = await open(TREE)
    await using _ = world
    const source = (n: number): string => path.join(target(n), 'source')
    let killed = 0
    for (let n = 0; ; n++, killed++) {
      const args = [archive, '--to', target(n)]
      const first = await world.run(args, program, stopAt(n, thread))
      if (first.code !== null) {
        expect([first.code, first.err]).toEqual([0, ''])
        break
      }
      const again = await world.run(args, program, stopAt(-1, thread))
      const done = again.code === 2 && again.err.includes('is not empty')
      if (!done) expect([n, again.code, again.err]).toEqual([n, 0, ''])
      expect(compareTrees(world.spine.source, source(n)), `call ${n}`).toEqual([])
      expect(fs.readdirSync(target(n)), `call ${n}`).toEqual(['source'])
    }
    expect(killed).toBeGreaterThan(12)
  })
})

describe('a full disk', () => {
  it('ends the run in words, and the same command goes on', async () => {
    const { world, archive, target } = await open(TREE)
    await using _ = world
    for (const [n, thread] of [
      [0, 'main'],
      [1, 'main'],
      [0, 'second'],
      [1, 'second'],
    ] as const) {
      const args = [archive, '--to', target(Number(`${n}${thread.length}`))]
      const full = await world.run(args, process.execPath, stopAt(n, thread, 'full'))
      expect([full.code, full.err]).toEqual([1, expect.stringMatching(/^ENOSPC.*\n.*the same command goes on/)])
      const again = await world.run(args, process.execPath, stopAt(-1, thread))
      expect([again.code, again.err]).toEqual([0, ''])
    }
  })
})

describe('a signal', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s ends it in words, and leaves nothing of a check behind', async (signal, code) => {
    await using world = new ScriptWorld({ large: Buffer.alloc(200 << 20, 'ab') })
    const archive = await world.backup({ level: 0 })
    const temporary = path.join(world.spine.folder, 'tmp')
    fs.mkdirSync(temporary)
    for (const [args, said] of [
      [['--to', world.target()], 'the same command goes on'],
      [['--check'], 'interrupted'],
    ] as const) {
      const child = world.start([archive, ...args], process.execPath, { TMPDIR: temporary })
      let err = ''
      child.stderr?.on('data', (chunk: Buffer) => (err += chunk.toString()))
      const [folder, name] = args[0] === '--check' ? [temporary, ''] : [args[1], '.ratchet-restore/archive']
      const begun = (): boolean =>
        name === '' ? fs.readdirSync(folder).length > 0 : fs.existsSync(path.join(folder, name))
      while (!begun()) await new Promise((resolve) => setTimeout(resolve, 5))
      child.kill(signal)
      expect(await once(child, 'close')).toEqual([code, null])
      expect(err).toContain(said)
    }
    expect(fs.readdirSync(temporary)).toEqual([])
  })
})
