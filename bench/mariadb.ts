import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import type { RatchetClient } from '../src/client/client.ts'
import { startMariadb, type MariadbServer } from '../test/servers/mariadb.ts'
import { benchRoot } from './corpus.ts'
import { interleave, ratio, type Side } from './measure.ts'
import { RATCHET, sizeOf } from './places.ts'
import { cpuOf, MemoryWatch } from './process-tree.ts'
import { megabytes, type Row } from './report.ts'
import { served } from './server.ts'
import { median, quantile, spread } from './stats.ts'

/** A MariaDB of about 300 MB of SQL in 20 tables: one of a million rows, two without a key. */

const COLUMNS = 'id BIGINT%, name VARCHAR(60), email VARCHAR(80), n INT, d DECIMAL(12,2), at DATETIME, body TEXT'
const ROWS = `seq, CONCAT('name ', MD5(seq)), CONCAT(LEFT(SHA1(seq), 12), '@example.org'), seq * 7919 % 1000003,
  seq / 7, FROM_UNIXTIME(1600000000 + seq), CONCAT('it''s a text of ', REPEAT(CONCAT(MD5(seq * 3), ' some words here '), 1 + seq % 3))`

export async function fill(server: MariadbServer): Promise<void> {
  await server.root.query('CREATE DATABASE bench CHARACTER SET utf8mb4; USE bench')
  const table = async (name: string, rows: number, key: string): Promise<void> => {
    await server.root.query(`CREATE TABLE ${name} (${COLUMNS.replace('%', key)})`)
    await server.root.query(`INSERT INTO ${name} SELECT ${ROWS} FROM seq_1_to_${rows}`)
  }
  await table('big', 1_000_000, ' PRIMARY KEY')
  for (let n = 0; n < 17; n++) await table(`t${n}`, 20_000, ' PRIMARY KEY')
  for (let n = 0; n < 2; n++) await table(`keyless${n}`, 20_000, '')
}

interface Place {
  readonly data: string
  readonly out: string
}

/** A data folder with a profile for the database, made anew. */
export function place(work: string, name: string, socket: string, maxMs: number): Place {
  const folder = path.join(work, name)
  fs.rmSync(folder, { recursive: true, force: true })
  const made = { data: path.join(folder, 'data'), out: path.join(folder, 'out') }
  fs.mkdirSync(made.data, { recursive: true })
  fs.mkdirSync(made.out)
  const databaseServers = { main: { socket, user: 'root' } }
  const roots = { sources: [], outputs: [made.out], restores: [], archives: [] }
  fs.writeFileSync(path.join(made.data, 'settings.json'), JSON.stringify({ databaseServers, roots }))
  const profile = {
    ...{ name: 'bench', sources: [], databases: [{ type: 'mysql', server: 'main', database: 'bench' }] },
    ...{ output: made.out, pacing: { minMs: 0, maxMs, bias: 100 } },
  }
  const document = path.join(folder, 'profile.json')
  fs.writeFileSync(document, JSON.stringify({ format: 'ratchet-profile', version: 1, profile }))
  execFileSync(RATCHET[0], [RATCHET[1], '--data', made.data, 'profiles', 'import', document])
  return made
}

export async function mariadb(rounds: number): Promise<Row[]> {
  const work = path.join(benchRoot(), 'work', 'mariadb')
  fs.mkdirSync(work, { recursive: true })
  await using server = await startMariadb(['--innodb-buffer-pool-size=1G', '--innodb-log-file-size=512M'])
  await fill(server)
  const { socket } = server
  const sizes = { ours: 0, theirs: 0 }
  const busy: Record<string, number[]> = { ours: [], theirs: [] }
  let before = 0
  const ours = (name: string, maxMs: number): Side => {
    let at: Place = place(work, name, socket, maxMs)
    return {
      name: `ratchet, ${name}`,
      command: () => ({ argv: [...RATCHET, '--json', '--data', at.data, 'backup', '--profile', '2'] }),
      prepare() {
        at = place(work, name, socket, maxMs)
        before = cpuOf(server.pid)
      },
      check() {
        if (name === 'whole') busy['ours']?.push(cpuOf(server.pid) - before)
        sizes.ours = sizeOf(at.out)
      },
    }
  }
  const theirs = path.join(work, 'theirs.sql.gz')
  const pipe = 'mariadb-dump --no-defaults --socket="$1" --user=root --single-transaction bench | gzip > "$0"'
  const [whole, sliced, vendor] = await interleave(
    [
      ours('whole', 3_600_000),
      ours('1 s slices', 1000),
      {
        name: 'mariadb-dump | gzip',
        command: { argv: ['sh', '-c', pipe, theirs, socket] },
        prepare: () => void (before = cpuOf(server.pid)),
        check() {
          busy['theirs']?.push(cpuOf(server.pid) - before)
          sizes.theirs = fs.statSync(theirs).size
        },
      },
    ],
    rounds,
  )
  const rows: Row[] = []
  const add = (what: string, figures: string, shown: string, bar: string, met: boolean): void =>
    void rows.push({ bench: 'mariadb', what, figures, result: shown, bar, met, command: COMMAND })
  const speed = ratio(vendor, whole)
  const times = `${spread(whole?.wall ?? [])} s, ${megabytes(sizes.ours)}; theirs ${spread(vendor?.wall ?? [])} s, ${megabytes(sizes.theirs)}`
  add(
    'backup of a database against mariadb-dump --single-transaction and gzip, verified and synced on our side only',
    times,
    `${speed.toFixed(2)} × as fast`,
    '≥ 1.2 ×',
    speed >= 1.2,
  )
  const cpu = median(busy['ours'] ?? []) / median(busy['theirs'] ?? [])
  add(
    "the server's CPU time",
    `${spread(busy['ours'] ?? [])} s; theirs ${spread(busy['theirs'] ?? [])} s`,
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
  rows.push(...(await stepped(place(work, 'stepped', socket, 1000))))
  fs.rmSync(work, { recursive: true, force: true })
  return rows
}

const COMMAND = 'ratchet backup --profile 2; mariadb-dump --single-transaction bench | gzip'

async function stepped({ data }: Place): Promise<Row[]> {
  const found = await served(data, async (client, pid) => {
    using memory = new MemoryWatch(pid)
    const times = await stepTimes(client)
    memory.look()
    return { times, rss: memory.peak }
  })
  const p99 = quantile(found.times, 0.99)
  const command = 'ratchet serve; startBackup, stepBackup with pacing.maxMs 1000'
  const figures = `${found.times.length} steps, median ${median(found.times).toFixed(0)} ms`
  const common = { bench: 'mariadb', figures, command }
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
