import { Option, type Command } from 'commander'
import type { LoadRequest, RestoreRequest } from '../../engine/services.ts'
import type { Backend } from '../backend.ts'
import { UsageError } from '../failure.ts'
import * as parse from '../parse.ts'
import { DEFAULT_SLICE_MS, jobToResume, pacingOf, runJob } from '../run-job.ts'
import { defined, numberOf } from '../session.ts'
import type { Session } from '../session.ts'

interface RestoreOptions {
  to?: string
  database?: string[]
  server?: string
  dbType?: 'mysql' | 'postgresql'
  swap?: true
  scratch?: string
  foreign?: true
  inPlace?: true
  pattern?: string[]
  salvage?: true
  owners?: true
  setuid?: true
  outsideLinks?: true
  skipInstallation?: true
  dryRun?: true
  maxRatio?: number
  maxEntries?: number
  maxSize?: number
  slice?: number
  resume?: true | parse.JobRef
}

type Archive = ReturnType<typeof parse.parseArchive>

const EXAMPLES = `
ID is the number or id of a backup in the data folder; anything else is the path of an archive
(of a split one: the last part, x.zip or x.jpa). The archive alone is enough.

Examples:
  ratchet restore 12 --to /tmp/look
  ratchet restore 12 --to /srv/www --in-place --dry-run
  ratchet restore /backup/site.zip --to /srv/www --in-place
  ratchet restore 12 --to /tmp/look --pattern 'www/uploads/**'
  ratchet restore 12 --database shop=shop_test
  ratchet restore 12 --database shop --swap
  ratchet restore broken.zip --to /tmp/rescue --salvage
  ratchet restore --resume`

export function addRestore(program: Command, session: Session): void {
  program
    .command('restore')
    .summary('put the content of a backup back')
    .description('Restores a backup, or any archive of this format, in steps.')
    .argument('[id|archive]', 'backup or archive', parse.parseArchive)
    .option('--to <dir>', 'target folder; must be absent or empty unless --in-place')
    .option('--in-place', 'replace files one by one, each when its new content is proven; others stay')
    .option('--database <name[=new name]>', 'put a database back into its server (may be repeated)', parse.collect)
    .option('--server <name>', 'into this server of settings.json; default: the one it was read from')
    .addOption(new Option('--db-type <kind>', 'kind of the server').choices(['mysql', 'postgresql']))
    .option('--swap', 'load beside the database that is there, then take its place; the old one is kept')
    .option('--scratch <name>', 'an empty database to load into first, where none may be made')
    .option('--foreign', 'run the SQL of an archive that is not one of our own backups')
    .option('--pattern <pattern>', 'only entries that match this glob (may be repeated)', parse.collect)
    .option('--salvage', 'give back what is intact of a damaged archive')
    .option('--owners', 'set owners and groups as stored (as root)')
    .option('--setuid', 'keep setuid and setgid bits')
    .option('--outside-links', 'restore links that point out of the target')
    .option('--skip-installation', 'leave out the folder installation/ with our manifest')
    .option('--dry-run', 'only tell what the restore would do; exit code 0 if it would be whole, 3 if not')
    .option('--max-ratio <n>', 'refuse entries that grow more than this', parse.parsePositive)
    .option('--max-entries <n>', 'refuse archives with more entries', parse.parsePositive)
    .option('--max-size <size>', 'refuse archives whose content is larger', parse.parseSize)
    .option('--slice <time>', 'length of a step, like 500ms or 2s', parse.parseSlice)
    .option('--resume [id]', 'go on with the newest unfinished restore, or with this one', parse.parseRef)
    .addHelpText('after', EXAMPLES)
    .action((archive: Archive | undefined, options: RestoreOptions, command: Command) =>
      restore(session, command, archive, options),
    )
}

async function restore(
  session: Session,
  command: Command,
  archive: Archive | undefined,
  options: RestoreOptions,
): Promise<void> {
  if (options.resume !== undefined) return resumeRestore(session, command, archive, options.resume, options)
  if (archive === undefined) throw new UsageError('no backup to restore', 'ratchet restore ID|ARCHIVE --to DIR')
  const databases = databasesOf(options)
  if (options.to === undefined && databases.length === 0)
    throw new UsageError('nothing to restore into', 'Add --to DIR for files, --database NAME for a database.')
  const target = options.to === undefined ? {} : { target: session.path(options.to) }
  await runJob(session, command, {
    begin: async (backend) =>
      backend.start({
        kind: 'restore',
        archive: await archiveOf(backend, session, archive),
        ...target,
        ...(databases.length === 0 ? {} : { databases }),
        ...restoreOptions(options),
      }),
  })
}

async function resumeRestore(
  session: Session,
  command: Command,
  archive: Archive | undefined,
  resume: true | parse.JobRef,
  options: RestoreOptions,
): Promise<void> {
  if (archive !== undefined || (options.to ?? options.database) !== undefined || options.dryRun === true) {
    throw new UsageError('--resume goes on with a restore as it was started: give no archive, no --to and no --dry-run')
  }
  await runJob(session, command, {
    begin: async (backend) => jobToResume(backend, 'restore', resume === true ? null : await numberOf(backend, resume)),
    ...(options.slice === undefined ? {} : { pacing: pacingOf(options.slice) }),
  })
}

/** What engine and server take as an archive: a number or an absolute path. */
export async function archiveOf(backend: Backend, session: Session, archive: Archive): Promise<number | string> {
  return 'path' in archive ? session.path(archive.path) : numberOf(backend, archive.ref)
}

function databasesOf({ database = [], server, dbType: type, swap, scratch }: RestoreOptions): LoadRequest[] {
  const rest = defined({ server, type, scratch, mode: swap === true ? ('swap' as const) : undefined })
  if (database.length === 0 && Object.keys(rest).length > 0)
    throw new UsageError('these options are about databases', 'Add --database NAME.')
  if (database.length > 1 && scratch !== undefined)
    throw new UsageError('one scratch database cannot take several', 'Restore them one after another.')
  return database.map((text) => {
    const [, name = text, as] = /^(.+?)=(.+)$/s.exec(text) ?? []
    return { name, ...rest, ...(as === undefined ? {} : { database: as }) }
  })
}

function restoreOptions(options: RestoreOptions): Partial<RestoreRequest> {
  const { salvage, owners, setuid, outsideLinks, skipInstallation, dryRun, foreign } = options
  const limits = defined({ ratio: options.maxRatio, entries: options.maxEntries, bytes: options.maxSize })
  return defined({
    mode: options.inPlace === true ? ('inplace' as const) : ('new' as const),
    patterns: options.pattern,
    salvage,
    owners,
    setuid,
    outsideLinks,
    skipInstallation,
    dryRun,
    foreign,
    limits: Object.keys(limits).length > 0 ? limits : undefined,
    pacing: pacingOf(options.slice ?? DEFAULT_SLICE_MS),
  })
}
