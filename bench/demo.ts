import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { RatchetClient } from '../src/client/client.ts'
import type { BackupInfo, StepReply } from '../src/client/types.ts'
import { compareTrees } from './demo/compare.ts'
import type { Comparison } from './demo/compare.ts'
import { DemoProgress } from './demo/progress.ts'
import { makeSample } from './demo/sample.ts'
import { DemoServer } from './demo/server.ts'

/**
 * `npm run demo [-- PATH]`: a real backup over HTTP, its server killed in the middle of a step and
 * started again, the archive verified, restored and compared from outside. Exit code 0 only if every
 * byte came back.
 */

interface Places {
  readonly folder: string
  readonly site: string
  readonly data: string
  readonly backups: string
  readonly restored: string
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
  for (const name of ['data', 'backups', 'restored']) fs.mkdirSync(at(name))
  const places = { folder, site, data: at('data'), backups: at('backups'), restored: at('restored') }
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
async function restoreAlone(client: RatchetClient, places: Places, info: BackupInfo): Promise<Comparison> {
  const taken = path.join(places.restored, 'script')
  const only = { patterns: [SCRIPT], skipInstallation: false, pacing: PACING }
  await drive('script', (onProgress) =>
    client.runRestore({ archive: info.number, target: taken, ...only }, { onProgress }),
  )
  const target = path.join(places.restored, 'alone')
  const args = [path.join(taken, SCRIPT), archivePathOf(info), '--to', target, '--outside-links']
  execFileSync(process.execPath, args, { stdio: 'ignore' })
  return compareTrees(places.site, path.join(target, path.basename(places.site)))
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
  restored: string
  comparison: Comparison
  /** Restored once more with nothing but the archive and Node. */
  alone: Comparison
  seconds: number
}

function tenLines(told: Told): string[] {
  const { places, server, pids, info, kill, verified, restored, comparison, alone, seconds } = told
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
    `restored   to ${restored}`,
    `compared   types, modes, times, link targets, content: ${verdict(comparison)}${comparison.special > 0 ? ` (${comparison.special} sockets, FIFOs or devices not kept)` : ''}`,
    `alone      the archive's own restore.mjs, without Ratchet, brought it back too: ${verdict(alone)}`,
    `look       npm run -s ratchet -- log ${info.number} --data ${places.data}`,
    `tidy up    rm -r ${places.folder}   (all of this took ${seconds.toFixed(0)} s)`,
  ]
}

async function main(): Promise<number> {
  const begun = process.hrtime.bigint()
  const { positionals } = parseArgs({ allowPositionals: true })
  const places = preparePlaces(positionals[0])
  const server = new DemoServer(places.data, path.join(places.folder, 'server.log'))
  const leave = (): void => void server.stop().then(() => process.exit(130))
  process.once('SIGINT', leave).once('SIGTERM', leave)
  try {
    await server.start()
    const first = server.pid
    const client = new RatchetClient({ url: server.url, token: server.token, retry: { maxMs: 1000, giveUpMs: 60_000 } })
    const { info, kill } = await backUp(client, server, places)
    if (kill === null && positionals[0] === undefined)
      throw new Error('the backup ended before the server could be killed')
    const archive = info.number
    const verified = await drive('verify', (onProgress) =>
      client.runVerify({ archive, pacing: PACING }, { onProgress }),
    )
    const target = path.join(places.restored, 'out')
    // Links that leave the site are restored too: the archive is our own.
    const restore = { archive, target, outsideLinks: true, pacing: PACING }
    await drive('restore', (onProgress) => client.runRestore(restore, { onProgress }))
    const restored = path.join(target, path.basename(places.site))
    const comparison = compareTrees(places.site, restored)
    const alone = await restoreAlone(client, places, info)
    const seconds = Number(process.hrtime.bigint() - begun) / 1e9
    const told = {
      places,
      server,
      pids: [first, server.pid],
      info,
      kill,
      verified,
      restored,
      comparison,
      alone,
      seconds,
    } as const
    console.log(tenLines({ ...told, pids: [first, server.pid] }).join('\n'))
    const differences = [...comparison.differences, ...alone.differences]
    for (const difference of differences) console.error(`different  ${difference}`)
    return differences.length === 0 ? 0 : 1
  } catch (error) {
    console.error(`what is there so far lies in ${places.folder}`)
    throw error
  } finally {
    await server.stop()
  }
}

try {
  process.exitCode = await main()
} catch (error) {
  console.error(`demo failed: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
}
