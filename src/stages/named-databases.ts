import path from 'node:path'
import type { FileStat } from '../lib/disk.ts'
import { asBackupError, BackupError, errnoOf } from '../lib/errors.ts'
import { isSqlite, readHeader } from '../lib/sqlite-header.ts'
import { failPart, type Part } from '../engine/job.ts'
import type { BackupSpec, DatabaseSpec, ServerDatabaseSpec, SourceSpec, SqliteSpec } from '../engine/spec.ts'
import type { StageContext } from '../engine/stage.ts'
import type { BackupParts } from './backup-parts.ts'

/** Folder of the archive that holds the databases that lie in no source. */
export const DATABASES = 'databases'

/** The sources that this type of backup takes, and the databases. */
export const sourcesOf = (spec: BackupSpec): readonly SourceSpec[] => (spec.type === 'databases' ? [] : spec.sources)
export const databasesOf = (spec: BackupSpec): readonly DatabaseSpec[] =>
  spec.type === 'files' ? [] : (spec.databases ?? [])

/** First path component of each source, in order; none takes the folder of the databases from them. */
export function labelsOf(parts: BackupParts, spec: BackupSpec): string[] {
  const sources = sourcesOf(spec)
  if (databasesOf(spec).length === 0) return parts.labels(sources)
  const [, ...labels] = parts.labels([{ type: 'directory', path: `/${DATABASES}` }, ...sources])
  return labels
}

/** A database that the spec names. */
export interface NamedDatabase<Spec extends DatabaseSpec = SqliteSpec> {
  readonly spec: Spec
  /** Its folder below `databases/`. */
  readonly name: string
  readonly critical: boolean
  /** Its verdict, under the name `databases/<name>`. */
  readonly part: Part
}

/** The SQLite databases among them. */
export function namedDatabases(parts: BackupParts, ctx: StageContext, spec: BackupSpec): NamedDatabase[] {
  return allNamed(parts, ctx, spec).filter((one): one is NamedDatabase => one.spec.type === 'sqlite')
}

export type ServerDatabase = NamedDatabase<ServerDatabaseSpec>

/** Those of servers. */
export function serverDatabases(parts: BackupParts, ctx: StageContext, spec: BackupSpec): ServerDatabase[] {
  return allNamed(parts, ctx, spec).filter((one): one is ServerDatabase => one.spec.type !== 'sqlite')
}

function allNamed(parts: BackupParts, ctx: StageContext, spec: BackupSpec): NamedDatabase<DatabaseSpec>[] {
  const databases = databasesOf(spec)
  const names = parts.labels(
    databases.map((database) => ({
      type: 'directory',
      path: database.type === 'sqlite' ? database.path : `/${database.database.replaceAll('/', '_')}`,
      ...(database.name === undefined ? {} : { label: database.name }),
    })),
  )
  return databases.map((database, i) => {
    const name = names[i] ?? `database-${i}`
    return {
      spec: database,
      name,
      critical: database.critical ?? true,
      get part() {
        return ctx.part(`${DATABASES}/${name}`)
      },
    }
  })
}

/** Still to be stored. */
export const isOpen = ({ part }: Pick<NamedDatabase, 'part'>): boolean =>
  part.status === 'pending' || part.status === 'running'

export interface Found {
  /** Absolute, without links. */
  readonly file: Buffer
  readonly stat: FileStat
}

/** The file behind a database. SOURCE_NOT_FOUND, SOURCE_UNREADABLE if it is no database. */
export function findDatabase(ctx: StageContext, { spec }: NamedDatabase): Found {
  let found: Found
  let head: Buffer
  try {
    const file = ctx.disk.realpath(spec.path)
    found = { file, stat: ctx.disk.lstat(file) }
    head = found.stat.kind === 'file' ? readHeader(ctx.disk, file) : Buffer.alloc(0)
  } catch (error) {
    const missing = errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR'
    throw asBackupError(
      error,
      `the database ${spec.path} cannot be opened`,
      missing ? 'SOURCE_NOT_FOUND' : 'SOURCE_UNREADABLE',
    )
  }
  if (found.stat.kind === 'file' && (found.stat.size === 0 || isSqlite(head))) return found
  throw new BackupError('SOURCE_UNREADABLE', `${spec.path} is no SQLite database`, {
    hint: 'Name the database file itself. One that is encrypted, or of another kind, can be backed up as a file only.',
  })
}

/** Whether a source reaches the file, as far as paths can tell: then it is stored there, at its place. */
export function liesInSource(ctx: StageContext, spec: BackupSpec, file: Buffer): boolean {
  return sourcesOf(spec).some((source) => {
    if (source.databases === 'raw') return false
    try {
      const base = ctx.disk.realpath(source.path).toString('latin1')
      const below = path.posix.relative(base, file.toString('latin1'))
      return below === '' || (below !== '..' && !below.startsWith('../'))
    } catch (error) {
      if (errnoOf(error) === undefined) throw error
      return false // what is wrong with the source is told in its turn
    }
  })
}

/** A database that the run can do without has failed; one that it cannot do without fails the run, by name. */
export function failDatabase(
  ctx: StageContext,
  database: Pick<NamedDatabase, 'critical' | 'part' | 'name'>,
  error: BackupError,
): void {
  if (database.critical) throw error
  failPart(database.part, error)
  ctx.warn('omitted', `database ${database.name}: ${error.message}`)
}
