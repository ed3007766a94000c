import { createHash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import type { RatchetClient } from '../src/client/client.ts'
import type { BrowseParams } from '../src/client/types.ts'
import { newJob } from '../src/engine/new-job.ts'
import { PLANS } from '../src/engine/plans.ts'
import { encodeRecord } from '../src/engine/record.ts'
import { DEFAULT_PACING, type BackupSpec } from '../src/engine/spec.ts'
import { benchRoot } from './corpus.ts'
import { choiceOf, dataOf, outputOf, type BackupChoice } from './places.ts'
import type { Row } from './report.ts'
import { served, stepOverHttp } from './server.ts'
import { quantile, spread } from './stats.ts'

/** How long whoever pages through lists waits, at a server that has been up for a while. */

const JOBS = 10_000
const LIST_BAR = 50
const BROWSE_BAR = 300

async function timed(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now()
  await work()
  return performance.now() - begun
}

/** Records of finished backups, and of one that runs. */
function manyJobs(): string {
  const data = path.join(benchRoot(), 'work', 'many-jobs')
  fs.rmSync(data, { recursive: true, force: true })
  const sources = [{ type: 'directory' as const, path: '/srv/www' }]
  const common = { kind: 'backup', comment: '', pacing: DEFAULT_PACING, sources, output: '/backup' } as const
  for (let number = 1; number <= JOBS; number++) {
    const description = `Backup number ${number} of something with a name of a usual length`
    const archive = `site-${number}`
    const form = { format: 'zip', archive, partSize: 0, level: 6 } as const
    const spec: BackupSpec = { ...common, ...form, profile: 1 + (number % 7), description }
    const text = JSON.stringify(spec)
    const hash = createHash('sha256').update(text).digest('hex')
    const job = newJob(number, Date.UTC(2026, 0, 1) + number * 60_000, spec, hash, PLANS.backup, null)
    const status = number === JOBS ? 'running' : 'completed'
    const folder = path.join(data, 'jobs', String(number))
    fs.mkdirSync(folder, { recursive: true })
    fs.writeFileSync(path.join(folder, 'spec.json'), text)
    fs.writeFileSync(path.join(folder, 'state-1.json'), encodeRecord({ ...job, status, archive: `${archive}.zip` }))
  }
  return data
}

export async function list(): Promise<Row[]> {
  const data = manyJobs()
  const times = await served(data, async (client) => {
    await client.listBackups({ limit: 200 }) // the first look reads every record
    const found: number[] = []
    for (let n = 0; n < 200; n++)
      found.push(await timed(() => client.listBackups({ limit: 200, offset: ((n * 37) % 49) * 200 })))
    return found
  })
  fs.rmSync(data, { recursive: true, force: true })
  const p95 = quantile(times, 0.95)
  return [
    {
      bench: 'list',
      what: 'p95 of a page of 200 of 10,000 backups over HTTP, anywhere in the list',
      figures: `${times.length} pages, ${spread(times, 1)} ms`,
      result: `${p95.toFixed(0)} ms`,
      bar: `≤ ${LIST_BAR} ms`,
      met: p95 <= LIST_BAR,
      command: 'ratchet serve; listBackups with limit 200',
    },
  ]
}

/** A tiny backup beside it, so that a server can be warm without having seen the large one. */
async function tiny(client: RatchetClient, choice: BackupChoice): Promise<number> {
  const source = path.join(choice.source, 'd000000', '000000')
  const sources = [{ type: 'directory' as const, path: source }]
  const profile = await client.saveProfile({ name: 'tiny', sources, output: outputOf(choice) })
  return (await client.run({ profile: profile.id })).BackupID
}

const FIRST_PAGES: readonly (readonly [what: string, params: BrowseParams])[] = [
  ['all entries', { recursive: true }],
  ['the top', {}],
  ['a folder of folders', { path: 'million' }],
  ['a folder in the middle', { path: 'million/d000078/005000' }],
]

/** Each first page is that of a server which has not opened the archive yet, but answered for another one. */
export async function browse(rounds: number): Promise<Row[]> {
  const choice = choiceOf('million', 6, '1s', '-browse')
  await stepOverHttp(choice, 1000)
  const small = await served(dataOf(choice), (client) => tiny(client, choice))
  const rows: Row[] = []
  for (const [what, params] of FIRST_PAGES) {
    const times: number[] = []
    for (let round = 0; round < rounds; round++) {
      const ms = await served(dataOf(choice), async (client) => {
        await client.browseBackup({ backupid: small })
        return timed(() => client.browseBackup({ backupid: 1, limit: 200, ...params }))
      })
      times.push(ms)
    }
    const worst = Math.max(...times)
    rows.push({
      bench: 'browse',
      what: `first page of 200 of a backup with 1,000,000 files, opened for it: ${what}`,
      figures: `${times.length} servers, ${spread(times, 0)} ms`,
      result: `${worst.toFixed(0)} ms`,
      bar: `≤ ${BROWSE_BAR} ms`,
      met: worst <= BROWSE_BAR,
      command: `ratchet serve; browseBackup ${JSON.stringify({ limit: 200, ...params })}`,
    })
  }
  return rows
}
