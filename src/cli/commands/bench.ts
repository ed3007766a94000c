import { randomBytes } from 'node:crypto'
import os from 'node:os'
import type { Command } from 'commander'
import type { App } from '../../app.ts'
import { removeTree } from '../../lib/durable-file.ts'
import { asBackupError, BackupError } from '../../lib/errors.ts'
import { makeCorpus, type Corpus } from '../bench/corpus.ts'
import { measure, Stopped, type Measured, type Stage } from '../bench/measure.ts'
import { EXIT } from '../exit.ts'
import { UsageError } from '../failure.ts'
import * as format from '../format.ts'
import { Interrupt } from '../interrupt.ts'
import * as parse from '../parse.ts'
import type { Session } from '../session.ts'

const MiB = 1024 * 1024
const LEAST = 4 * MiB
const SLICE_MS = 1000

const VARIANTS = [
  { variant: 'zip deflate', format: 'zip', level: 6 },
  { variant: 'zip stored', format: 'zip', level: 0 },
  { variant: 'jpa', format: 'jpa', level: 6 },
] as const
type Variant = (typeof VARIANTS)[number]

interface BenchOptions {
  size?: number
  dir?: string
}

const EXAMPLES = `
Makes files in a folder of its own below DIR, backs them up, verifies and restores them with each format, and
removes everything again, also after Ctrl-C. The files have just been written: they are read from memory as far
as that goes, so the figures say what processor and output can do. Steps are asked for in slices of one second.

Examples:
  ratchet bench
  ratchet bench --size 2G --dir /backup
  ratchet bench --size 64M --json`

export function addBench(program: Command, session: Session): void {
  program
    .command('bench')
    .summary('measure how fast this machine backs up and restores')
    .description('Measures this machine: backup, verification and restore, in MiB of files a second.')
    .option('--size <size>', `size of the files (default: 256M); ${parse.SIZE_HELP}`, parse.parseSize)
    .option('--dir <dir>', "folder on the disk to measure (default: the system's temporary folder)")
    .addHelpText('after', EXAMPLES)
    .action((options: BenchOptions, command: Command) => bench(session, command, options))
}

async function bench(session: Session, command: Command, { size = 256 * MiB, dir }: BenchOptions): Promise<void> {
  if (session.globals(command).url !== undefined) throw new UsageError('bench measures this machine; leave --url out')
  if (size < LEAST) throw new UsageError('files of less than 4 MiB say nothing')
  const { disk } = session.io
  const parent = dir === undefined ? os.tmpdir() : session.path(dir)
  checkRoom(session, parent, size)
  const folder = `${parent}/ratchet-bench-${randomBytes(6).toString('hex')}`
  using interrupt = new Interrupt(session.io, () => void session.io.stderr.write('stopping and tidying up\n'))
  try {
    for (const path of [folder, `${folder}/files`, `${folder}/out`]) disk.mkdir(path, 0o700)
    await run(session, command, folder, size, interrupt.signal)
  } catch (error) {
    if (!(error instanceof Stopped)) throw asBackupError(error, `measuring in ${folder}`, 'OUTPUT_UNWRITABLE')
    session.exitCode = EXIT.interrupted
    if (session.json(command)) session.printJson({ event: 'final', status: 'interrupted' })
  } finally {
    removeTree(disk, folder)
  }
}

/** The files, an archive as large, and what is restored from it. */
function checkRoom({ io }: Session, parent: string, size: number): void {
  let free: number
  try {
    free = io.disk.free(parent)
  } catch (error) {
    throw asBackupError(error, `cannot use ${parent}`, 'BAD_REQUEST')
  }
  const needed = 3 * size + 64 * MiB
  if (free >= needed) return
  throw new BackupError('DISK_FULL', `${parent} has ${format.size(free)} free; ${format.size(needed)} are needed`, {
    hint: 'Give a smaller --size, or another disk with --dir.',
    retry: 'never',
  })
}

async function run(
  session: Session,
  command: Command,
  folder: string,
  size: number,
  signal: AbortSignal,
): Promise<void> {
  const json = session.json(command)
  const corpus = await makeCorpus(session.io.disk, `${folder}/files`, size, signal)
  if (signal.aborted) throw new Stopped()
  const cores = os.availableParallelism()
  if (!json)
    session.print(`${format.size(corpus.bytes)} in ${format.count(corpus.files, 'file')}, ${cores} cores`, HEAD)
  const { createApp } = await import('../../app.ts')
  await using app = await createApp({ dataDir: `${folder}/data` })
  const all: Measured[] = []
  for (const variant of VARIANTS) {
    for await (const one of measureVariant(session, app, folder, corpus, variant, signal)) {
      all.push(one)
      if (json) session.printJson({ event: 'measured', ...one })
      else session.print(row(one))
    }
  }
  if (json) session.printJson({ event: 'final', status: 'completed', cores, ...corpus, measured: all })
}

/** Backup, verification and restore; what each leaves is removed before the next variant needs the room. */
async function* measureVariant(
  { io }: Session,
  app: App,
  folder: string,
  { bytes }: Corpus,
  { variant, format: kind, level }: Variant,
  signal: AbortSignal,
): AsyncGenerator<Measured> {
  const { engine } = app
  const pacing = { minMs: 0, maxMs: SLICE_MS, bias: 100 }
  const target = `${folder}/restored`
  const of = (stage: Stage): { stage: Stage; variant: string; bytes: number } => ({ stage, variant, bytes })
  const sources = [{ type: 'directory' as const, path: `${folder}/files` }]
  const overrides = { sources, output: `${folder}/out`, format: kind, level, pacing }
  const backup = await measure(app, io.clock, signal, of('backup'), () => app.startBackup({ overrides }))
  yield backup.measured
  const archive = backup.job.number
  const verify = await measure(app, io.clock, signal, of('verify'), () =>
    engine.start({ kind: 'verify', archive, pacing }),
  )
  yield verify.measured
  const restore = await measure(app, io.clock, signal, of('restore'), () =>
    engine.start({ kind: 'restore', archive, target, pacing }),
  )
  yield restore.measured
  removeTree(io.disk, target)
  await engine.remove(archive)
}

const COLUMNS = [8, 13, 9, 7, 9, 11, 10] as const
const line = (cells: readonly string[]): string =>
  cells.map((cell, i) => (i < 2 ? cell.padEnd(COLUMNS[i] ?? 0) : cell.padStart(COLUMNS[i] ?? 0))).join('')

const HEAD = line(['stage', 'format', 'MiB/s', 'steps', 'p99', 'longest', 'memory'])

const row = ({ stage, variant, mibPerSecond, steps, p99Ms, longestMs, rss }: Measured): string =>
  line([
    stage,
    variant,
    mibPerSecond.toFixed(1),
    String(steps),
    `${p99Ms.toFixed(0)} ms`,
    `${longestMs.toFixed(0)} ms`,
    format.size(rss),
  ])
