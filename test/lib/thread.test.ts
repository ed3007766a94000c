import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

const THREAD = new URL('../../src/lib/thread.ts', import.meta.url).href

/** What a program says that starts a thread on `entry`, run with `flags`. */
function run(flags: readonly string[], entry: string): string {
  const program = `
    import(${JSON.stringify(THREAD)}).then(({ startThread }) => {
      const thread = startThread(new URL(${JSON.stringify(pathToFileURL(entry).href)}), {})
      thread.on('message', (text) => console.log('message', text))
      thread.on('error', (error) => console.log('error', error.message))
      thread.on('exit', (code) => console.log('exit', code))
    })`
  const done = spawnSync(process.execPath, [...flags, '-e', program], { encoding: 'utf8', timeout: 20_000 })
  return done.stdout + done.stderr
}

describe('startThread', () => {
  let folder = ''
  beforeEach(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'ratchet-thread-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  const SAYS = "import { parentPort } from 'node:worker_threads'\nparentPort?.postMessage('here' as string)\n"

  it.each([[], ['--input-type=module'], ['--input-type=commonjs'], ['--input-type=module-typescript']])(
    'runs a module, whatever the process was started with: %s',
    (...flags) => {
      const entry = path.join(folder, 'entry.ts')
      writeFileSync(entry, SAYS)
      expect(run(flags, entry)).toBe('message here\nexit 0\n')
    },
  )

  it('tells what a module threw while it was loaded, and that there is none', () => {
    const entry = path.join(folder, 'entry.ts')
    expect(run([], entry)).toMatch(/^error Cannot find module .*\nexit 1\n$/)
    writeFileSync(entry, "throw new Error('not today')\n")
    expect(run([], entry)).toBe('error not today\nexit 1\n')
  })
})
