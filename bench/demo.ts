import { execFile } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { RatchetClient } from '../src/client/client.ts'
import type { BackupInfo, StepReply } from '../src/client/types.ts'
import { Bank, FOLDER as BANK, proveBank, TOTAL } from './demo/bank.ts'
import type { Proof } from './demo/bank.ts'
import { compareTrees } from './demo/compare.ts'
import type { Comparison } from './demo/compare.ts'
import { DemoProgress } from './demo/progress.ts'
import { makeSample } from './demo/sample.ts'
import { DemoServer } from './demo/server.ts'

/**
 * `npm run demo [-- PATH] [--keep]`: a real backup over HTTP, its server killed in the middle of a step and
 * started again, the archive verified, restored and compared from outside, twice. In the sample site a database is
 * written to all the while; what came back of it must keep the invariant its writer keeps. Exit code 0 only if every
 * byte came back. Nothing is left behind unless `--keep` says so, or something went wrong.
 */

interface Places {
  readonly folder: string
  readonly site: string
  readonly data: string
  readonly backups: string
  readonly restored: string
  /** Of the sample site; nobody's own folder is written to. */
  readonly bank: Bank | null
}

interface Kill {
  percent: number
  /** The step that was under way. */
  step: number
}

/** Short, so that a kill hits something even on a fast machine. */
const PACING = { minMs: 0, maxMs: 250, bias: 100 }
/** How far a step is when the server dies, and from where on. */
const KILL_AFTER_MS = 90
const KILL_FROM_PERCENT = 35

function preparePlaces(given: string | undefined): Places {
  const own = given === undefined ? null : path.resolve(process.env['INIT_CWD'] ?? '.', given)
  if (own !== null && !fs.statSync(own).isDirectory()) throw new Error(`${own} is not a folder`)
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ratchet-demo-'))
  const at = (name: string): string => path.join(folder, name)
  const site = own ?? at('site')
  if (own === null) makeSample(site)
  const bank = own === null ? new Bank(site) : null
  for (const name of ['data', 'backups', 'restored']) fs.mkdirSync(at(name))
  const places = { folder, site, data: at('data'), backups: at('backups'), restored: at('restored'), bank }
  // Over the network only paths below these may be named.
  const roots = { sources: [site], outputs: [places.backups], restores: [places.restored], archives: [places.backups] }
  fs.writeFileSync(path.join(places.data, 'settings.json'), JSON.stringify({ roots }, null, 2))
  return places
}

/** Steps the backup to its end; on the way the server process is killed once and started again. */
async function backUp(
  client: RatchetClient,
  server: DemoServer,
  places: Places,
): Promise<{ info: BackupInfo; kill: Kill | null }> {
  const progress = new DemoProgress('backup')
  let kill: Kill | null = null
  let restarted: Promise<void> = Promise.resolve()
  const onProgress = (reply: StepReply): void => {
    progress.at(reply)
    if (kill !== null || !reply.HasRun || reply.Progress < KILL_FROM_PERCENT) return
    kill = { percent: reply.Progress, step: reply.stepNumber + 1 }
    restarted = killAndRestart(server)
  }
  try {
    const overrides = {
      sources: [{ type: 'directory' as const, path: places.site }],
      output: places.backups,
      pacing: PACING,
    }
    const last = await client.run({ description: 'Demonstration', overrides }, { onProgress })
    await restarted
    if (last.Error !== '') throw new Error(last.Error)
    return { info: await client.getBackupInfo(last.BackupID), kill }
  } finally {
    progress.end()
    await restarted
  }
}

async function killAndRestart(server: DemoServer): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, KILL_AFTER_MS))
  await server.kill()
  await server.start()
}

async function drive(
  label: string,
  run: (onProgress: (reply: StepReply) => void) => Promise<StepReply>,
): Promise<StepReply> {
  const progress = new DemoProgress(label)
  try {
    const last = await run((reply) => progress.at(reply))
    if (last.Error !== '') throw new Error(last.Error)
    return last
  } finally {
    progress.end()
  }
}

const archivePathOf = (info: BackupInfo): string => info.artifacts.at(-1)?.path ?? ''

const SCRIPT = 'installation/restore.mjs'

/** The way back for whoever has nothing left but the archive: its script, taken out of it, and Node. */
async function restoreAlone(client: RatchetClient, places: Places, info: BackupInfo): Promise<Restored> {
  const taken = path.join(places.restored, 'script')
  const only = { patterns: [SCRIPT], skipInstallation: false, pacing: PACING }
  await drive('script', (onProgress) =>
    client.runRestore({ archive: info.number, target: taken, ...only }, { onProgress }),
  )
  const target = path.join(places.restored, 'alone')
  const args = [path.join(taken, SCRIPT), archivePathOf(info), '--to', target, '--outside-links']
  await promisify(execFile)(process.execPath, args)
  return lookAt(places, path.join(target, path.basename(places.site)))
}

/** What came back, seen from outside. */
interface Restored {
  comparison: Comparison
  /** Of the database, which has gone on meanwhile. */
  proof: Proof | null
}

function lookAt({ site, bank }: Places, restored: string): Restored {
  const proof = bank === null ? null : proveBank(restored)
  return { comparison: compareTrees(site, restored, bank === null ? undefined : BANK), proof }
}

const steps = (count: number): string => `${count} ${count === 1 ? 'step' : 'steps'}`
const MiB = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(1)} MiB`

interface Told {
  places: Places
  server: DemoServer
  pids: [number, number]
  info: BackupInfo
  kill: Kill | null
  verified: StepReply
  restored: Restored
  /** Restored once more with nothing but the archive and Node. */
  alone: Restored
  transfers: Transfers | null
  seconds: number
}

/** Of the database: when the backup began, and when it had ended. */
interface Transfers {
  before: number
  after: number
}

const number = (value: number): string => value.toLocaleString('en')

/** What the restored database shows: a moment in the middle of the backup, whole. */
function bankLines({ transfers, restored, alone }: Told): string[] {
  if (transfers === null || restored.proof === null || alone.proof === null) return []
  const verdict = ({ transfers: held, faults }: Proof): string =>
    faults.length === 0
      ? `${number(held)} transfers, as many as its counter says, and still ${number(TOTAL)} in all accounts`
      : `BROKEN: ${faults.join('; ')}`
  return [
    `database   written to all the while: ${number(transfers.before)} transfers when the backup began, ${number(transfers.after)} at its end`,
    `           restored: ${verdict(restored.proof)}`,
    `           by restore.mjs: ${verdict(alone.proof)}`,
  ]
}

function lines(told: Told): string[] {
  const { places, server, pids, info, kill, verified, restored, alone, seconds } = told
  const { comparison } = restored
  const artifact = info.artifacts[0]
  const archive = artifact?.path ?? ''
  const killed =
    kill === null
      ? 'not: the backup was over too soon'
      : `SIGKILL at ${kill.percent} %, ${KILL_AFTER_MS} ms into step ${kill.step}; process ${pids[1]} took it from there`
  const verdict = ({ differences }: Comparison): string => (differences.length === 0 ? 'no difference' : 'DIFFERENT')
  return [
    `source     ${comparison.entries} entries, ${MiB(comparison.bytes)} in ${places.site}`,
    `server     ${server.url}, process ${pids[0]}, stepped over HTTP in slices of ${PACING.maxMs} ms`,
    `killed     ${killed}`,
    `backup     ${info.outcome}, ${steps(info.current.stepNumber)}: ${archive} (${MiB(info.size)})`,
    `verified   every byte of the archive read back, ${steps(verified.stepNumber)}`,
    `restored   to ${path.join(places.restored, 'out')}`,
    `compared   types, modes, times, link targets, content: ${verdict(comparison)}${comparison.special > 0 ? ` (${comparison.special} sockets, FIFOs or devices not kept)` : ''}`,
    `alone      the archive's own restore.mjs, without Ratchet, brought it back too: ${verdict(alone.comparison)}`,
    ...bankLines(told),
    `all of this took ${seconds.toFixed(0)} s`,
  ]
}

/** Where to look, or that there is nothing left to look at. */
function lastLines(places: Places, info: BackupInfo, keep: boolean): string[] {
  if (!keep) return ['tidied up; with "npm run demo -- --keep" everything stays for a look']
  return [
    `look       npm run -s ratchet -- log ${info.number} --data ${places.data}`,
    `tidy up    rm -r ${places.folder}`,
  ]
}

/** Every act of the play, in its order. */
async function play(places: Places, server: DemoServer, given: boolean): Promise<Omit<Told, 'seconds'>> {
  const { bank } = places
  await Promise.all([server.start(), bank?.open()])
  const first = server.pid
  const client = new RatchetClient({ url: server.url, token: server.token, retry: { maxMs: 1000, giveUpMs: 60_000 } })
  const before = bank?.transfers() ?? 0
  const { info, kill } = await backUp(client, server, places)
  const transfers = bank === null ? null : { before, after: bank.transfers() }
  await bank?.close()
  if (kill === null && !given) throw new Error('the backup ended before the server could be killed')
  const archive = info.number
  const verified = await drive('verify', (onProgress) => client.runVerify({ archive, pacing: PACING }, { onProgress }))
  const target = path.join(places.restored, 'out')
  // Links that leave the site are restored too: the archive is our own.
  const restore = { archive, target, outsideLinks: true, pacing: PACING }
  await drive('restore', (onProgress) => client.runRestore(restore, { onProgress }))
  const restored = lookAt(places, path.join(target, path.basename(places.site)))
  const alone = await restoreAlone(client, places, info)
  return { places, server, pids: [first, server.pid], info, kill, verified, restored, alone, transfers }
}

async function main(): Promise<number> {
  const begun = process.hrtime.bigint()
  const { positionals, values } = parseArgs({ allowPositionals: true, options: { keep: { type: 'boolean' } } })
  const keep = values.keep === true
  const places = preparePlaces(positionals[0])
  const server = new DemoServer(places.data, path.join(places.folder, 'server.log'))
  const end = async (): Promise<void> => void (await Promise.all([server.stop(), places.bank?.close()]))
  const tidy = (): void => fs.rmSync(places.folder, { recursive: true, force: true })
  let left = false
  const leave = async (): Promise<void> => {
    left = true
    await end()
    tidy()
    process.exit(130)
  }
  process.once('SIGINT', leave).once('SIGTERM', leave)
  try {
    const told = await play(places, server, positionals[0] !== undefined)
    const seconds = Number(process.hrtime.bigint() - begun) / 1e9
    await end()
    console.log([...lines({ ...told, seconds }), ...lastLines(places, told.info, keep)].join('\n'))
    const both = [told.restored, told.alone]
    const differences = both.flatMap(({ comparison, proof }) => [...comparison.differences, ...(proof?.faults ?? [])])
    for (const difference of differences) console.error(`different  ${difference}`)
    if (differences.length === 0 && !keep) tidy()
    return differences.length === 0 ? 0 : 1
  } catch (error) {
    if (left) return 130 // what went wrong is that somebody left
    console.error(`what is there so far lies in ${places.folder}`)
    throw error
  } finally {
    await end()
  }
}

try {
  process.exitCode = await main()
} catch (error) {
  console.error(`demo failed: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
}
