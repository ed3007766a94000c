import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import { describe, expect, it, onTestFinished } from 'vitest'
import { compareTrees } from '../../bench/demo/compare.ts'
import { addBulk, final, MAIN, place, ratchet } from './helpers.ts'
import type { Line, Options, Place, Ran } from './helpers.ts'

interface Listening {
  event: string
  url: string
  dataDir: string
  tokenFile: string
  token?: string
}

interface Running {
  said: Listening
  child: ChildProcess
  /** Sends the signal and waits for the end. */
  end(signal: NodeJS.Signals): Promise<{ code: number | null; signal: NodeJS.Signals | null }>
}

/** `ratchet serve` as its own process, gone after the test. */
async function serve(p: Place, port = 0): Promise<Running> {
  const argv = [MAIN, 'serve', '--json', '--data', p.data, '--port', String(port)]
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const exit = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  let out = ''
  const said = await new Promise<Listening>((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text
      if (out.includes('\n')) resolve(JSON.parse(out) as Listening)
    })
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}: ${out}`)))
  })
  const end = async (signal: NodeJS.Signals): ReturnType<Running['end']> => {
    child.kill(signal)
    const [code, by] = await exit
    return { code, signal: by }
  }
  return { said, child, end }
}

/** A place whose folders may be named over the network. */
function open(): Place {
  const p = place()
  fs.mkdirSync(p.data)
  for (const name of ['out', 'back']) fs.mkdirSync(p.at(name))
  const roots = { sources: [p.site], outputs: [p.out], restores: [p.at('back')], archives: [p.out] }
  fs.writeFileSync(p.at('data/settings.json'), JSON.stringify({ roots }))
  return p
}

const asking = (server: Running, token: string): ((argv: string[], options?: Options) => Promise<Ran>) => {
  const env = { RATCHET_URL: server.said.url, RATCHET_TOKEN: token }
  return (argv, options = {}) => ratchet([...argv, '--json'], { ...options, env })
}

describe('serve', () => {
  it('shows the token once, keeps it for the owner alone, and leaves politely', async () => {
    const p = open()
    // A command on the same folder makes no token, so the first server still shows it.
    expect((await ratchet(['list', '--data', p.data])).code).toBe(0)
    const first = await serve(p)
    expect(first.said.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    expect(fs.readFileSync(first.said.tokenFile, 'utf8').trim()).toBe(first.said.token)
    expect(fs.statSync(first.said.tokenFile).mode & 0o777).toBe(0o600)
    expect((await fetch(`${first.said.url}/health`)).status).toBe(200)
    expect(await first.end('SIGTERM')).toEqual({ code: 0, signal: null })
    const second = await serve(p)
    expect(second.said.tokenFile).toBe(first.said.tokenFile)
    expect(second.said).not.toHaveProperty('token')
    expect(await second.end('SIGINT')).toEqual({ code: 0, signal: null })
  })

  it('says what is wrong with an address, a port in use, a token, a path', async () => {
    const p = open()
    const server = await serve(p)
    const taken = await ratchet(['serve', '--data', p.at('other'), '--port', new URL(server.said.url).port])
    expect([taken.code, taken.err]).toEqual([2, expect.stringContaining('EADDRINUSE')])
    const wrong = await asking(server, 'x'.repeat(43))(['list'])
    expect([wrong.code, final(wrong).error?.code]).toEqual([1, 'FORBIDDEN']) // nobody has set it up yet
    expect(wrong.out + wrong.err).not.toContain('xxxx')
    const outside = await asking(server, server.said.token ?? '')(['backup', p.folder, '--to', p.out])
    expect([outside.code, final(outside).error?.code]).toEqual([1, 'PATH_OUTSIDE_ROOTS'])
  })
})

describe('the command line through a server', () => {
  it('does what it does without one', async () => {
    const p = open()
    const server = await serve(p)
    const ask = asking(server, server.said.token ?? '')
    const made = await ask(['backup', p.site, '--to', p.out, '--name', 'far'])
    expect([made.code, made.err]).toEqual([0, ''])
    const end = final(made)
    expect(end).toMatchObject({ event: 'final', number: 1, status: 'completed', warnings: 0, gaps: false, error: null })
    expect(end.artifacts).toEqual([expect.objectContaining({ path: p.at('out/far.zip') })])

    expect((await ask(['list'])).lines.map((line) => [line.number, line.status])).toEqual([[1, 'completed']])
    expect((await ask(['log', '1'])).lines.length).toBeGreaterThan(3)
    expect(final(await ask(['show', String(end.id)])).artifacts).toEqual(end.artifacts)
    expect(final(await ratchet(['show', '1', '--data', p.data, '--json']))).toEqual(final(await ask(['show', '1'])))
    expect(final(await ask(['backup', '--resume']))).toEqual(end)
    expect((await ask(['profiles'])).lines).toEqual([{ id: 1, name: 'Default' }])

    expect((await ask(['verify', '1'])).code).toBe(0)
    const foreseen = await ask(['restore', '1', '--to', p.at('back/all'), '--dry-run'])
    expect([foreseen.code, foreseen.err]).toEqual([0, ''])
    expect(final(foreseen)).toMatchObject({ number: 3, status: 'completed', preview: { files: 61, conflicts: 0 } })
    expect(final(await ratchet(['show', '3', '--data', p.data, '--json']))).toEqual(final(foreseen))
    expect(fs.existsSync(p.at('back/all'))).toBe(false)
    expect((await ask(['restore', '1', '--to', p.at('back/all')])).code).toBe(0)
    expect(compareTrees(p.site, p.at('back/all/site')).differences).toEqual([])
    expect((await ask(['delete', '1'])).code).toBe(0)
    expect(fs.readdirSync(p.out)).toEqual([])
  })

  it('rides out a server that is killed and started again', async () => {
    const p = open()
    addBulk(p.site, 16)
    const first = await serve(p)
    const token = first.said.token ?? ''
    let again: Promise<Running> | null = null
    const restart = async (): Promise<Running> => {
      await first.end('SIGKILL')
      return serve(p, Number(new URL(first.said.url).port))
    }
    const onLine = (line: Line): void => {
      if (again === null && line.event === 'step' && (line.percent ?? 0) >= 10) again = restart()
    }
    const made = await asking(first, token)(['backup', p.site, '--to', p.out, '--slice', '60ms'], { onLine })
    expect(again).not.toBeNull()
    expect([made.code, made.err, final(made).status]).toEqual([0, '', 'completed'])
    expect(made.lines.map((line) => line.step)).toEqual(made.lines.map((_, i, all) => Math.min(i + 1, all.length - 1)))
  })
})
