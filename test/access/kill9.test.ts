import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { AccountsFile } from '../../src/access/accounts-file.ts'
import { AuditTrail } from '../../src/access/audit.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { realDisk } from '../../src/lib/disk.ts'
import { seeded } from '../helpers/random.ts'

const CHILD = path.join(import.meta.dirname, 'kill9-child.ts')

/** Runs the child until it has said something, and a little longer; returns the last number it said. */
async function killed(dataDir: string, longerMs: number): Promise<number> {
  const child = spawn(process.execPath, [CHILD, dataDir], { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  child.stdout.on('data', (piece: Buffer) => (said += piece.toString()))
  const exit = once(child, 'close')
  await once(child.stdout, 'data')
  await new Promise((resolve) => setTimeout(resolve, longerMs))
  child.kill('SIGKILL')
  await exit
  return Number(said.slice(0, said.lastIndexOf('\n')).split('\n').at(-1))
}

test('killed twelve times with SIGKILL, two at once: what was acknowledged stays, the chain is whole', async () => {
  const dataDir = fs.mkdtempSync(path.join(os.tmpdir(), 'ratchet-kill-'))
  onTestFinished(() => fs.rmSync(dataDir, { recursive: true, force: true }))
  const random = seeded(11)
  for (let round = 0; round < 6; round++) {
    const said = await Promise.all([killed(dataDir, random.int(300)), killed(dataDir, random.int(300))])
    const most = Math.max(...said)
    expect(most).toBeGreaterThan(0)
    expect(new AccountsFile(realDisk, dataDir).read().setup?.until).toBeGreaterThanOrEqual(most)
    const trail = new AuditTrail(realDisk, systemClock, dataDir)
    trail.note({ event: 'round', actor: '', face: '', address: '', object: '', result: 'ok', request: '' })
    expect(trail.verify()).toMatchObject({ ok: true })
    const { entries } = trail.read(1, 1_000_000)
    const numbers = entries.filter((entry) => entry.event === 'counted').map((entry) => Number(entry.object.slice(7)))
    expect(new Set(numbers).size).toBe(numbers.length) // each number was given to one process only
    for (const last of said) expect(numbers).toContain(last)
    const strays = [...fs.readdirSync(path.join(dataDir, 'access')), ...fs.readdirSync(path.join(dataDir, 'audit'))]
    expect(strays.length).toBeLessThan(16) // what killed writers left behind goes
    expect(entries.map((entry) => entry.event)).not.toContain('audit.damaged')
  }
}, 60_000)
