import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { onTestFinished } from 'vitest'

/** The real program, as a process of its own. */

export const MAIN = path.join(import.meta.dirname, '../../src/cli/main.ts')

export interface Ran {
  code: number | null
  signal: NodeJS.Signals | null
  out: string
  err: string
  lines: Line[]
}

export interface Line {
  event?: string
  id?: string
  number?: number
  status?: string
  step?: number
  percent?: number
  message?: string
  warnings?: number
  artifacts?: { path: string; size: number; sha256: string }[]
  error?: { code: string; message: string; hint: string } | null
  resume?: string
  [key: string]: unknown
}

export interface Options {
  cwd?: string
  env?: Record<string, string>
  uid?: number
  /** What comes on standard input; default: nothing. */
  input?: string
  /** Called with each JSON line as it comes. */
  onLine?: (line: Line, child: ChildProcess) => void
}

const SILENT = ['RATCHET_URL', 'RATCHET_TOKEN', 'RATCHET_DATA', 'RATCHET_DEBUG', 'RATCHET_KEY', 'RATCHET_KEY_FILE']

export async function ratchet(argv: string[], options: Options = {}): Promise<Ran> {
  const env = { ...process.env, ...options.env }
  for (const name of SILENT) if (options.env?.[name] === undefined) delete env[name]
  const child = spawn(process.execPath, [MAIN, ...argv], {
    env,
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
  })
  child.stdin.on('error', () => undefined) // whoever reads no input may have left
  child.stdin.end(options.input ?? '')
  let out = ''
  let err = ''
  let seen = 0
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
    for (let end = out.indexOf('\n', seen); end >= 0; end = out.indexOf('\n', seen)) {
      const line = out.slice(seen, end)
      seen = end + 1
      if (options.onLine !== undefined && line.startsWith('{')) options.onLine(JSON.parse(line) as Line, child)
    }
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (exitCode, exitSignal) => resolve([exitCode, exitSignal]))
  })
  return { code, signal, out, err, lines: jsonLines(out) }
}

function jsonLines(out: string): Line[] {
  return out
    .split('\n')
    .filter((line) => /^\{.*\}$/.test(line))
    .map((line) => JSON.parse(line) as Line)
}

/** The last JSON line; a missing one fails with what the program said. */
export function final(ran: Ran): Line {
  const line = ran.lines.at(-1)
  if (line === undefined) throw new Error(`no JSON on stdout; exit code ${ran.code}\n${ran.out}\n${ran.err}`)
  return line
}

export interface Place {
  folder: string
  data: string
  site: string
  out: string
  at: (...names: string[]) => string
}

/** A temporary folder with a small site; gone after the test. */
export function place(): Place {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ratchet-e2e-'))
  onTestFinished(() => fs.rmSync(folder, { recursive: true, force: true }))
  const at = (...names: string[]): string => path.join(folder, ...names)
  fs.mkdirSync(at('site/empty'), { recursive: true })
  for (let i = 0; i < 60; i++) {
    fs.mkdirSync(at('site', `d${i % 7}`), { recursive: true })
    fs.writeFileSync(at('site', `d${i % 7}`, `file ${i}.txt`), `line ${i}\n`.repeat(200))
  }
  fs.writeFileSync(at('site', 'odd\n\u001b[31m name'), 'odd')
  fs.symlinkSync('d1/file 1.txt', at('site/link'))
  fs.chmodSync(at('site/d2'), 0o750)
  return { folder, data: at('data'), site: at('site'), out: at('out'), at }
}

/** Content that takes a while to pack. */
export function addBulk(site: string, mib: number): void {
  const block = Buffer.concat([randomBytes(512 * 1024), Buffer.alloc(512 * 1024, 'half of it compresses ')])
  const fd = fs.openSync(path.join(site, 'bulk'), 'wx')
  for (let i = 0; i < mib; i++) {
    block.writeUInt32LE(i, 0)
    fs.writeSync(fd, block)
  }
  fs.closeSync(fd)
}
