import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { RatchetClient } from '../src/client/client.ts'
import type { Step } from './flatness.ts'
import { clear, dataOf, outputOf, RATCHET, type BackupChoice } from './places.ts'
import { MemoryWatch } from './process-tree.ts'

export interface Stepped {
  readonly steps: Step[]
  /** Peak of the server with its worker threads. Bytes. */
  readonly rss: number
  /** Sum of the steps. Seconds. */
  readonly seconds: number
}

/** Starts a server on a free port, lets a client step one backup through HTTP, and times every call. */
export async function stepOverHttp(choice: BackupChoice, sliceMs: number): Promise<Stepped> {
  clear(choice)
  const data = dataOf(choice)
  const roots = { sources: [choice.source], outputs: [outputOf(choice)], restores: [], archives: [] }
  fs.writeFileSync(path.join(data, 'settings.json'), JSON.stringify({ roots }))
  return served(data, async (client, pid) => {
    using memory = new MemoryWatch(pid)
    const steps = await stepToEnd(client, choice, sliceMs)
    memory.look()
    return { steps, rss: memory.peak, seconds: steps.reduce((sum, step) => sum + step.ms, 0) / 1000 }
  })
}

/** A server of its own on a data folder, for as long as the work takes. */
export async function served<T>(data: string, work: (client: RatchetClient, pid: number) => Promise<T>): Promise<T> {
  const server = spawn(RATCHET[0], [RATCHET[1], '--json', '--data', data, 'serve', '--port', '0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    const url = await listening(server)
    const token = fs.readFileSync(path.join(data, 'token'), 'utf8').trim() // printed at the first start only
    return await work(new RatchetClient({ url, token }), server.pid ?? 0)
  } finally {
    await stop(server)
  }
}

async function stepToEnd(client: RatchetClient, choice: BackupChoice, sliceMs: number): Promise<Step[]> {
  const pacing = { minMs: 0, maxMs: sliceMs, bias: 100 }
  const sources = [{ type: 'directory' as const, path: choice.source }]
  const overrides = { sources, output: outputOf(choice), level: choice.level, pacing }
  const steps: Step[] = []
  const timed = async <T extends { Domain: string; BackupID: number }>(call: () => Promise<T>): Promise<T> => {
    const begun = performance.now()
    const reply = await call()
    const ms = performance.now() - begun
    const { totals } = await client.getBackupInfo(reply.BackupID)
    steps.push({ ms, domain: reply.Domain, entries: totals.entries, bytes: totals.bytesRead })
    return reply
  }
  const profile = await client.saveProfile({ name: 'bench', sources, output: outputOf(choice) })
  let reply = await timed(() => client.startBackup({ profile: profile.id, overrides }))
  while (reply.HasRun) {
    const { BackupID, stepNumber, sleepTime } = reply
    if (sleepTime > 0) await new Promise((resolve) => setTimeout(resolve, sleepTime))
    reply = await timed(() => client.stepBackup(BackupID, stepNumber + 1))
  }
  if (reply.Error !== '') throw new Error(reply.Error)
  return steps
}

async function listening(server: ChildProcess): Promise<string> {
  if (server.stdout === null) throw new Error('the server has no output')
  for await (const line of createInterface({ input: server.stdout })) {
    const said: unknown = JSON.parse(line)
    if (isListening(said)) {
      server.stdout.resume()
      return said.url
    }
  }
  throw new Error('the server ended before it listened')
}

function isListening(said: unknown): said is { url: string } {
  return typeof said === 'object' && said !== null && 'url' in said && typeof said.url === 'string'
}

async function stop(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return
  server.kill('SIGTERM')
  const timer = setTimeout(() => server.kill('SIGKILL'), 20_000)
  await once(server, 'exit')
  clearTimeout(timer)
}
