import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { cli } from './helpers/fake.ts'

function folder(): string {
  const made = mkdtempSync(path.join(tmpdir(), 'ratchet-cli-bench-'))
  onTestFinished(() => rmSync(made, { recursive: true }))
  return made
}

const MiB = 1024 * 1024

it('measures three formats in three stages, and leaves nothing behind', { timeout: 300_000 }, async () => {
  const dir = folder()
  const ran = await cli(['bench', '--size', '4M', '--dir', dir, '--json'])
  expect([ran.code, ran.err]).toEqual([0, ''])
  const { measured, ...final } = ran.lines.at(-1) as { measured: Record<string, unknown>[] }
  expect(final).toMatchObject({ event: 'final', status: 'completed', bytes: 4 * MiB, files: expect.any(Number) })
  expect(measured.map(({ variant, stage }) => `${String(variant)}: ${String(stage)}`)).toEqual(
    ['zip deflate', 'zip stored', 'jpa'].flatMap((one) => ['backup', 'verify', 'restore'].map((s) => `${one}: ${s}`)),
  )
  expect(ran.lines.slice(0, -1)).toEqual(measured.map((one) => ({ event: 'measured', ...one })))
  for (const one of measured) {
    for (const name of ['mibPerSecond', 'ms', 'steps', 'p99Ms', 'rss']) expect(Number(one[name])).toBeGreaterThan(0)
    expect(Number(one['longestMs'])).toBeGreaterThanOrEqual(Number(one['p99Ms']))
  }
  expect(readdirSync(dir)).toEqual([])
})

it('tidies up when it is interrupted', { timeout: 120_000 }, async () => {
  const dir = folder()
  const until = async (send: () => void): Promise<void> => {
    while (!(readdirSync(dir)[0] ?? '').startsWith('ratchet-bench-')) await new Promise((go) => setTimeout(go, 5))
    send()
  }
  const ran = await cli(['bench', '--size', '64M', '--dir', dir, '--json'], { signals: (send) => void until(send) })
  expect([ran.code, ran.lines.at(-1)]).toEqual([130, { event: 'final', status: 'interrupted' }])
  expect(readdirSync(dir)).toEqual([])
})

it('begins nothing where there is too little room, or nothing to measure', async () => {
  const dir = folder()
  const full = await cli(['bench', '--size', '900T', '--dir', dir])
  expect([full.code, full.err]).toEqual([1, expect.stringMatching(/are needed[^]*smaller --size/)])
  expect((await cli(['bench', '--size', '1K'])).code).toBe(2)
  expect((await cli(['bench', '--url', 'http://127.0.0.1:1'])).code).toBe(2)
  const gone = await cli(['bench', '--dir', path.join(dir, 'gone')])
  expect([gone.code, gone.err]).toEqual([2, expect.stringContaining('cannot use')])
  expect(readdirSync(dir)).toEqual([])
})
