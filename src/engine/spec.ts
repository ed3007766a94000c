/** What a job was asked to do: frozen at start, hashed into the record, kept in `spec.json`. Plain JSON. */

export interface Pacing {
  /** A step takes at least this long; the rest is told to the client as sleepTime. Milliseconds. */
  minMs: number
  /** A step answers within this. Milliseconds. */
  maxMs: number
  /** Share of `maxMs` that is used, per cent (10–100). */
  bias: number
}

export const DEFAULT_PACING: Pacing = { minMs: 0, maxMs: 5000, bias: 75 }

/** One folder to back up. Patterns are picomatch globs against the path below the source, `/`-separated. */
export interface DirectorySource {
  type: 'directory'
  path: string
  /** First path component in the archive; default: base name of the path. */
  label?: string
  /** A part that fails does not fail the run unless it is critical. */
  critical?: boolean
  /** Only what matches (files), if given. */
  include?: string[]
  /** Neither what matches nor what is below it. */
  exclude?: string[]
  /** Folders (relative paths) left out whole. */
  excludeFolders?: string[]
  /** Single files (relative paths) left out. */
  excludeFiles?: string[]
  /** Folders that are kept empty: "the folder but not its content". */
  excludeContent?: string[]
  /** Without dot, case-insensitive: `log`, `tmp`. */
  excludeExtensions?: string[]
  /** Files larger than this are left out. Bytes. */
  maxSize?: number
  /** Files not modified for longer than this are left out; `newerThan`: only ones modified since. Milliseconds since 1970. */
  olderThan?: number
  newerThan?: number
  /** `store` (default): links as links. `follow`: what they point to, with loop protection. */
  symlinks?: 'store' | 'follow'
  /** Stay on the file system of `path` (default true). */
  oneFileSystem?: boolean
  /** Keep extended attributes and ACLs where the tools are installed (default true). */
  xattrs?: boolean
  /**
   * `copy` (default): SQLite databases in it are copied through SQLite, without their side files. `raw`: like any file;
   * a database in use may then not open.
   */
  databases?: 'copy' | 'raw'
}

export type SourceSpec = DirectorySource

/** A database file that is copied by SQLite itself while it is in use, into `databases/<name>/` of the archive. */
export interface SqliteSpec {
  type: 'sqlite'
  /** The database file. Absolute. */
  path: string
  /** Name of its folder in the archive; default: base name of the path. */
  name?: string
  /** Whether its failure fails the run (default true). */
  critical?: boolean
}

/** Where a database server is, and who asks. */
export interface ServerAccess {
  /** Name or address; default `localhost`. Or `socket`. */
  host?: string
  port?: number
  /** Absolute path of its socket (PostgreSQL: of the folder that holds it). */
  socket?: string
  user?: string
  /** Where its password stands: a variable of our environment, or the first line of a file. Neither: none is needed. */
  passwordEnv?: string
  passwordFile?: string
  /** TLS, which a server on another machine has to speak. `ca`: file of certificates in PEM; default: those of the system. */
  tls?: { ca?: string; name?: string }
}

/** A database of a server, read as SQL into `databases/<name>/` of the archive. */
export interface ServerDatabaseSpec extends ServerAccess {
  /** Its password, sealed for this server and account alone: see `settings/sealed.ts`. */
  passwordSealed?: string
  type: 'mysql' | 'postgresql'
  /** Name of a server in the settings file, which says where it is; over the network there is no other way. */
  server?: string
  database: string
  /** Name of its folder in the archive; default: name of the database. */
  name?: string
  /** Whether its failure fails the run (default true). */
  critical?: boolean
  /** Exact names. */
  tables?: { include?: string[]; exclude?: string[]; structureOnly?: string[] }
  /** What to try for; default `snapshot`. */
  consistency?: 'snapshot' | 'table'
  /** How often a lost snapshot is begun again before the rest is read as `table`; default 2. */
  restarts?: number
}

export type DatabaseSpec = SqliteSpec | ServerDatabaseSpec

/** A database of a server as people write it and as it is shown to them. */
export interface WrittenServerDatabase extends Omit<ServerDatabaseSpec, 'passwordSealed'> {
  /** Shown as `***`; what is written goes into no file but sealed. `***` written: the one that is stored stays. */
  password?: string
}

export type WrittenDatabase = SqliteSpec | WrittenServerDatabase

/** What a backup holds: all that is named, or only one of the two kinds. */
export type BackupType = 'full' | 'files' | 'databases'

/**
 * Which backups of a profile stay when a new one is complete; the files of the others go, their records stay as
 * history. A backup stays if any rule keeps it. Without rules nothing goes by number or age. Calendar rules in UTC.
 */
export interface RetentionPolicy {
  /** The newest so many. */
  keepLast?: number
  /** The newest of each of the newest so many hours, days, weeks (ISO), months, years that have any. */
  keepHourly?: number
  keepDaily?: number
  keepWeekly?: number
  keepMonthly?: number
  keepYearly?: number
  /** All that are not older than this, counted back from the last complete backup. */
  keepWithinDays?: number
  /** The oldest go until all that stay fit; those frozen are not counted. Bytes. */
  maxBytes?: number
}

/**
 * Which files are deflated. `auto` (default): all that it pays for, but in JPA none above 10 MiB, since its usual readers
 * unpack in memory; `always`: those too; a number: none above so many bytes, in any format.
 */
export type Deflate = 'auto' | 'always' | number

export interface BackupSpec {
  kind: 'backup'
  profile: number
  description: string
  comment: string
  pacing: Pacing
  sources: SourceSpec[]
  /** Default: none. */
  databases?: DatabaseSpec[]
  /** Default `full`. */
  type?: BackupType
  /** Existing or creatable folder for the archive. Absolute. */
  output: string
  format: 'zip' | 'jpa'
  /** File name without extension. */
  archive: string
  /** Bytes per part; 0 = one file. */
  partSize: number
  /** Deflate level 1–9; 0 = stored. */
  level: number
  deflate?: Deflate
  /** Default: nothing ever goes. */
  retention?: RetentionPolicy
  /** Of other data, or at another place, than its profile says: retention neither counts nor removes it. */
  apart?: true
}

/** A database of a backup that is put back into a server. */
export interface LoadSpec extends ServerAccess {
  type: 'mysql' | 'postgresql'
  /** Name of a server in the settings file, which says where it is; over the network there is no other way. */
  server?: string
  /** Its folder below `databases/` in the archive. */
  name: string
  /** What it is called on the server when it is whole. */
  database: string
  /** `new`: it is absent or empty. `swap`: loaded beside it first; what is there now is kept under another name. */
  mode: 'new' | 'swap'
  /** An empty database to load into first, where the account may make none (`swap`). */
  scratch?: string
}

export interface RestoreSpec {
  kind: 'restore'
  profile: number
  description: string
  comment: string
  pacing: Pacing
  /** The archive's last part (`x.zip`, `x.jpa`). Absolute. */
  archive: string
  /** Target folder. Absolute; empty: nothing is restored as files. */
  target: string
  /** Databases that are put into servers; their SQL is not restored as files then. Default: none. */
  databases?: LoadSpec[]
  /** The archive is none of our own backups: its SQL is trusted no further than it has to be. */
  foreign?: true
  /** `new`: the target must be absent or empty. `inplace`: files are replaced one by one, each when its new content is proven. */
  mode: 'new' | 'inplace'
  /** Only entries that match one of these globs; empty = all. */
  patterns: string[]
  /** Give back everything intact from a damaged archive instead of refusing it. */
  salvage: boolean
  /** Owners and setuid bits as stored (only as root), and links that leave the target. */
  owners: boolean
  setuid: boolean
  outsideLinks: boolean
  /** Leave out `installation/` (our manifest) at the target. */
  skipInstallation: boolean
  limits: { ratio: number; entries: number; bytes: number }
  /** Only looks: nothing is written at or beside the target. */
  dryRun?: true
}

export interface VerifySpec {
  kind: 'verify'
  profile: number
  description: string
  comment: string
  pacing: Pacing
  /** The archive's last part. Absolute. */
  archive: string
  /** Expected digests by part name, from the record of the backup; empty when only the archive is known. */
  expected: { name: string; size: number; sha256: string }[]
}

export type JobSpec = BackupSpec | RestoreSpec | VerifySpec
export type JobKind = JobSpec['kind']
