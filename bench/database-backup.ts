import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import type { RatchetClient } from '../src/client/client.ts'
import { benchRoot } from './corpus.ts'
import type { BenchServer } from './database-servers.ts'
import { interleave, ratio, type Side } from './measure.ts'
import { RATCHET, sizeOf } from './places.ts'
import { MemoryWatch } from './process-tree.ts'
import { megabytes, type Row } from './report.ts'
import { served } from './server.ts'
import { median, quantile, spread } from './stats.ts'

interface Place {
  readonly data: string
  readonly out: string
}

/** A data folder with a profile for the database, made anew. */
export function place(work: string, name: string, { kind: type, access }: BenchServer, maxMs: number): Place {
  const folder = path.join(work, name)
  fs.rmSync(folder, { recursive: true, force: true })
  const made = { data: path.join(folder, 'data'), out: path.join(folder, 'out') }
  fs.mkdirSync(made.data, { recursive: true })
  fs.mkdirSync(made.out)
  const databaseServers = { main: access }
  const roots = { sources: [], outputs: [made.out], restores: [], archives: [] }
  fs.writeFileSync(path.join(made.data, 'settings.json'), JSON.stringify({ databaseServers, roots }))
  const profile = {
    ...{ name: 'bench', sources: [], databases: [{ type, server: 'main', database: 'bench' }] },
    ...{ output: made.out, pacing: { minMs: 0, maxMs, bias: 100 } },
  }
  const document = path.join(folder, 'profile.json')
  fs.writeFileSync(document, JSON.stringify({ format: 'ratchet-profile', version: 1, profile }))
  execFileSync(RATCHET[0], [RATCHET[1], '--data', made.data, 'profiles', 'import', document])
  return made
}

export interface Contest {
  readonly bench: string
  readonly server: BenchServer
  readonly rounds: number
  /** How many times as fast as the vendor's program we are to be. */
  readonly bar: number
}

export async function databaseBackup({ bench, server, rounds, bar }: Contest): Promise<Row[]> {
  const work = path.join(benchRoot(), 'work', bench)
  fs.mkdirSync(work, { recursive: true })
  const sizes = { ours: 0, theirs: 0 }
  const busy: Record<'ours' | 'theirs', number[]> = { ours: [], theirs: [] }
  let before = 0
  const ours = (name: string, maxMs: number): Side => {
    let at: Place = place(work, name, server, maxMs)
    return {
      name: `ratchet, ${name}`,
      command: () => ({ argv: [...RATCHET, '--json', '--data', at.data, 'backup', '--profile', '2'] }),
      prepare() {
        at = place(work, name, server, maxMs)
        before = server.cpu()
      },
      check() {
        if (name === 'whole') busy.ours.push(server.cpu() - before)
        sizes.ours = sizeOf(at.out)
      },
    }
  }
  const theirs = path.join(work, 'theirs.sql.gz')
  const [whole, sliced, vendor] = await interleave(
    [
      ours('whole', 3_600_000),
      ours('1 s slices', 1000),
      {
        name: server.packed.name,
        command: { argv: ['sh', '-c', server.packed.script, theirs] },
        prepare: () => void (before = server.cpu()),
        check() {
          busy.theirs.push(server.cpu() - before)
          sizes.theirs = fs.statSync(theirs).size
        },
      },
    ],
    rounds,
  )
  const rows: Row[] = []
  const command = `ratchet backup --profile 2; ${server.packed.name}`
  const add = (what: string, figures: string, shown: string, bar: string, met: boolean): void =>
    void rows.push({ bench, what, figures, result: shown, bar, met, command })
  const speed = ratio(vendor, whole)
  const times = `${spread(whole?.wall ?? [])} s, ${megabytes(sizes.ours)}; theirs ${spread(vendor?.wall ?? [])} s, ${megabytes(sizes.theirs)}`
  add(
    `backup of a database against ${server.packed.name}, verified and synced on our side only`,
    times,
    `${speed.toFixed(2)} × as fast`,
    `≥ ${bar} ×`,
    speed >= bar,
  )
  const cpu = median(busy.ours) / median(busy.theirs)
  add(
    "the server's CPU time",
    `${spread(busy.ours)} s; theirs ${spread(busy.theirs)} s`,
    `${cpu.toFixed(2)} ×`,
    '≤ 1.3 ×',
    cpu <= 1.3,
  )
  const cost = ratio(sliced, whole)
  add(
    'time in slices of 1 s against one step',
    `${spread(sliced?.wall ?? [])} s; whole ${spread(whole?.wall ?? [])} s`,
    `${cost.toFixed(3)} ×`,
    '≤ 1.1 ×',
    cost <= 1.1,
  )
  rows.push(...(await stepped(bench, place(work, 'stepped', server, 1000))))
  fs.rmSync(work, { recursive: true, force: true })
  return rows
}

async function stepped(bench: string, { data }: Place): Promise<Row[]> {
  const found = await served(data, async (client, pid) => {
    using memory = new MemoryWatch(pid)
    const times = await stepTimes(client)
    memory.look()
    return { times, rss: memory.peak }
  })
  const p99 = quantile(found.times, 0.99)
  const command = 'ratchet serve; startBackup, stepBackup with pacing.maxMs 1000'
  const figures = `${found.times.length} steps, median ${median(found.times).toFixed(0)} ms`
  const common = { bench, figures, command }
  return [
    {
      ...common,
      what: "p99 of a step's round trip over HTTP, slice 1 s",
      result: `${p99.toFixed(0)} ms`,
      bar: '≤ 1250 ms',
      met: p99 <= 1250,
    },
    {
      ...common,
      what: 'peak RSS: server and worker',
      result: megabytes(found.rss),
      bar: '≤ 200 MB',
      met: found.rss <= 200e6,
    },
  ]
}

async function stepTimes(client: RatchetClient): Promise<number[]> {
  const times: number[] = []
  const timed = async <T>(call: () => Promise<T>): Promise<T> => {
    const begun = performance.now()
    const reply = await call()
    times.push(performance.now() - begun)
    return reply
  }
  let reply = await timed(() => client.startBackup({ profile: 2 }))
  while (reply.HasRun) {
    const { BackupID, stepNumber } = reply
    reply = await timed(() => client.stepBackup(BackupID, stepNumber + 1))
  }
  if (reply.Error !== '') throw new Error(reply.Error)
  return times
}
