import path from 'node:path'
import type { Command } from 'commander'
import type { BackupType, Deflate } from '../../engine/spec.ts'
import type { BackupStart } from '../backend.ts'
import { UsageError } from '../failure.ts'
import { addKeepOptions, policyOf, type KeepOptions } from '../keep.ts'
import * as parse from '../parse.ts'
import { DEFAULT_SLICE_MS, jobToResume, pacingOf, runJob } from '../run-job.ts'
import { defined, numberOf } from '../session.ts'
import type { Session } from '../session.ts'

export interface BackupOptions extends KeepOptions {
  to?: string
  profile?: number
  format?: 'zip' | 'jpa'
  partSize?: number
  level?: number
  deflate?: Deflate
  name?: string
  sqlite?: string[]
  type?: BackupType
  exclude?: string[]
  include?: string[]
  followLinks?: true
  allFileSystems?: true
  slice?: number
  description?: string
  comment?: string
  resume?: true | parse.JobRef
}

const EXAMPLES = `
A pattern is a glob against the path below PATH: "*.log" matches at the top, "**/*.log" anywhere,
"cache" or "cache/**" a whole folder. What --exclude matches is left out with everything below it.

Sizes: ${parse.SIZE_HELP}.

Examples:
  ratchet backup /srv/www --to /backup
  ratchet backup site db-dumps --to /backup --name weekly --part-size 100M --exclude 'cache/**'
  ratchet backup /srv/www --to /backup --format jpa --part-size 2G
  ratchet backup --sqlite /srv/app/data.db --to /backup
  ratchet backup --profile 2
  ratchet backup --profile 2 --keep-last 3 --keep-weekly 8    older ones go; "ratchet retention 2" says which
  ratchet backup --resume            the newest unfinished one; none: tells the last result again
  ratchet backup --resume 12`

export function addBackup(program: Command, session: Session): void {
  addKeepOptions(options(program))
    .addHelpText('after', EXAMPLES)
    .action(async (paths: string[], given: BackupOptions, command: Command) => {
      await (given.resume === undefined
        ? startBackup(session, command, paths, given)
        : resumeBackup(session, command, paths, given.resume, given))
    })
}

function options(program: Command): Command {
  return program
    .command('backup')
    .summary('back up folders into an archive')
    .description('Backs up folders into an archive, in steps. Needs no profile; --profile N starts from a saved one.')
    .argument('[path...]', 'folders to back up')
    .option('--to <dir>', 'folder for the archive')
    .option('--profile <n>', 'saved profile to start from; other options overrule it', parse.parsePositive)
    .option('--format <format>', 'archive format: zip (default) or jpa', parse.parseWord(['zip', 'jpa']))
    .option('--part-size <size>', 'split the archive into parts of this size', parse.parseSize)
    .option('--level <n>', 'compression from 1 (fast) to 9 (small); 0 stores', parse.parseInteger(0, 9))
    .option('--deflate <what>', 'store files above this size; "always": none (jpa: 10M by default)', parse.parseDeflate)
    .option('--name <name>', 'name of the archive; [host], [date], [time], [profile], [number] are replaced')
    .option('--sqlite <path>', 'copy this SQLite database while it is in use (may be repeated)', parse.collect)
    .option('--type <type>', 'what to back up: full, files, databases', parse.parseWord(['full', 'files', 'databases']))
    .option('--exclude <pattern>', 'leave out what matches (may be repeated)', parse.collect)
    .option('--include <pattern>', 'only files that match (may be repeated)', parse.collect)
    .option('--follow-links', 'back up what symbolic links point to, instead of the links')
    .option('--all-file-systems', 'go into other file systems mounted below PATH')
    .option('--slice <time>', 'length of a step, like 500ms or 2s', parse.parseSlice)
    .option('--description <text>', 'short text for lists')
    .option('--comment <text>', 'longer text kept with the backup')
    .option('--resume [id]', 'go on with the newest unfinished backup, or with this one', parse.parseRef)
}

async function startBackup(session: Session, command: Command, paths: string[], options: BackupOptions): Promise<void> {
  const request = backupRequest(paths, options, (text) => session.path(text))
  await runJob(session, command, { begin: (backend) => backend.start(request) })
}

async function resumeBackup(
  session: Session,
  command: Command,
  paths: string[],
  resume: true | parse.JobRef,
  options: BackupOptions,
): Promise<void> {
  if (paths.length > 0 || options.to !== undefined || options.profile !== undefined) {
    throw new UsageError('--resume goes on with a backup as it was started: give no folders, --to or --profile')
  }
  await runJob(session, command, {
    begin: async (backend) => jobToResume(backend, 'backup', resume === true ? null : await numberOf(backend, resume)),
    ...(options.slice === undefined ? {} : { pacing: pacingOf(options.slice) }),
  })
}

/** What the options ask for, in the keys of a profile. */
export function backupRequest(paths: string[], options: BackupOptions, resolve: (text: string) => string): BackupStart {
  if (options.profile === undefined && paths.length === 0 && options.sqlite === undefined) {
    throw new UsageError('no folder to back up', 'ratchet backup PATH… --to DIR, or --profile N, or --resume')
  }
  if (options.profile === undefined && options.to === undefined) {
    throw new UsageError('no folder for the archive', 'Add --to DIR.')
  }
  refuseContradiction(paths, options)
  const retention = policyOf(options)
  if (retention !== undefined && options.profile === undefined) {
    throw new UsageError(
      'which backups stay is decided among those of one profile',
      'Save a profile and give --profile N as well; it may hold the rules itself, under "retention".',
    )
  }
  const slice = options.slice ?? (options.profile === undefined ? DEFAULT_SLICE_MS : undefined)
  const overrides = defined({
    sources: sourcesOf(paths, options, resolve),
    databases: databasesOf(options, resolve),
    type: options.type ?? (options.profile === undefined ? (paths.length === 0 ? 'databases' : 'full') : undefined),
    output: options.to === undefined ? undefined : resolve(options.to),
    format: options.format ?? (options.profile === undefined ? ('zip' as const) : undefined),
    archive: options.name === undefined ? undefined : archiveName(options.name),
    partSize: options.partSize ?? (options.profile === undefined ? 0 : undefined),
    level: options.level ?? (options.profile === undefined ? 6 : undefined),
    deflate: options.deflate,
    // What runs without a profile of its own lets nothing go.
    retention: options.profile === undefined ? {} : retention,
    pacing: slice === undefined ? undefined : pacingOf(slice),
  })
  const { profile, description, comment } = options
  return { kind: 'backup', ...defined({ profile, description, comment }), overrides }
}

/** What was named here is never left out in silence. */
function refuseContradiction(paths: string[], { type, sqlite }: BackupOptions): void {
  if (type === 'databases' && paths.length > 0) {
    throw new UsageError(
      '--type databases leaves folders out, and folders are named',
      'Name databases with --sqlite, or leave --type out: databases in folders are found.',
    )
  }
  if (type === 'files' && sqlite !== undefined) {
    throw new UsageError('--type files leaves databases out, and --sqlite names one', 'Leave one of the two out.')
  }
}

/** Without a profile of one's own, none of the standard one's are taken along. */
function databasesOf(options: BackupOptions, resolve: (text: string) => string): object[] | undefined {
  if (options.sqlite === undefined) return options.profile === undefined ? [] : undefined
  return options.sqlite.map((text) => ({ type: 'sqlite', path: resolve(text) }))
}

function sourcesOf(paths: string[], options: BackupOptions, resolve: (text: string) => string): object[] | undefined {
  if (paths.length === 0) {
    if (options.exclude ?? options.include ?? options.followLinks ?? options.allFileSystems) {
      throw new UsageError('patterns and link options belong to folders given here; a profile has its own')
    }
    return undefined
  }
  return paths.map((text) =>
    defined({
      type: 'directory',
      path: resolve(text),
      exclude: options.exclude,
      include: options.include,
      symlinks: options.followLinks === true ? 'follow' : undefined,
      oneFileSystem: options.allFileSystems === true ? false : undefined,
    }),
  )
}

function archiveName(name: string): string {
  const base = name.replace(/\.(zip|jpa)$/i, '')
  if (base === '' || base.startsWith('.') || path.basename(base) !== base) {
    throw new UsageError(
      `"${name}" cannot be the name of an archive`,
      'Give a file name without folder; --to names the folder.',
    )
  }
  return base
}
