import { DatabaseSync } from 'node:sqlite'
import path from 'node:path'
import { ensureFolder, removeIfThere } from '../lib/durable-file.ts'
import type { Disk } from '../lib/disk.ts'
import { outcome, type JobStatus, type JobView } from './job.ts'
import { inScope, type JobQuery, type JobSummary, type Scope } from './services.ts'

/**
 * Lists, answered quickly. A cache and nothing more: the job folders are the truth, and a damaged or
 * missing file is simply made anew from them.
 */
export interface Catalogue extends Disposable {
  put(job: JobView): void
  remove(number: number): void
  list(query: JobQuery): { total: number; jobs: JobSummary[] }
  /** Epoch of each job as last seen, or 'ended' when nothing about it can change any more. */
  known(): Map<number, number | 'ended'>
  idOf(id: string): number | null
  /** All there is. */
  rows(): CatalogueRow[]
}

export interface CatalogueRow {
  readonly epoch: number
  readonly summary: JobSummary
}

const SCHEMA = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = OFF;
  CREATE TABLE IF NOT EXISTS job (
    number INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, id TEXT NOT NULL, kind TEXT NOT NULL,
    status TEXT NOT NULL, profile INTEGER NOT NULL, summary TEXT NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS job_id ON job (id);
  CREATE INDEX IF NOT EXISTS job_kind ON job (kind, number);
`

export const DEFAULT_LIMIT = 50
export const LARGEST_LIMIT = 1000

export function summaryOf(job: JobView): JobSummary {
  return {
    number: job.number,
    id: job.id,
    kind: job.kind,
    status: job.status,
    outcome: outcome(job),
    profile: job.spec.profile,
    ...(job.startedBy === undefined ? {} : { startedBy: job.startedBy }),
    description: job.spec.description,
    archive: job.archive,
    files: job.totals.files,
    bytes: job.totals.bytesRead,
    size: job.artifacts.bytes,
    warnings: job.warnings.total,
    createdAt: job.createdAt,
    updatedAt: job.updatedAt,
    finishedAt: job.finishedAt,
  }
}

const ENDED: readonly string[] = ['completed', 'failed', 'cancelled', 'timeout'] satisfies JobStatus[]

const seen = (epoch: number, status: string): number | 'ended' => (ENDED.includes(status) ? 'ended' : epoch)

export function matches(job: JobSummary, query: JobQuery): boolean {
  return (
    (query.kind === undefined || job.kind === query.kind) &&
    (query.status === undefined || job.status === query.status) &&
    (query.profile === undefined || job.profile === query.profile) &&
    (query.since === undefined || job.createdAt >= query.since) &&
    (query.until === undefined || job.createdAt < query.until) &&
    (query.seenBy === undefined || inScope(job, query.seenBy))
  )
}

function open(file: string): DatabaseSync {
  const db = new DatabaseSync(file, { timeout: 5000 })
  try {
    db.exec(SCHEMA)
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

/**
 * The cache on the disk, as long as it can be had and written: a full or read-only disk must not fail a list, or
 * a step that has already been committed. Then this process goes on with what it knows, in memory.
 */
export function openCatalogue(disk: Disk, dataDir: string): Catalogue {
  let current: Catalogue
  try {
    current = sqliteCatalogue(disk, dataDir)
  } catch (error) {
    if (!(error instanceof Error)) throw error
    return memoryCatalogue()
  }
  const write = (change: (catalogue: Catalogue) => void): void => {
    try {
      change(current)
    } catch (error) {
      if (!(error instanceof Error)) throw error
      const memory = memoryCatalogue(current.rows())
      current[Symbol.dispose]()
      current = memory
      change(current)
    }
  }
  return {
    put: (job) => write((catalogue) => catalogue.put(job)),
    remove: (number) => write((catalogue) => catalogue.remove(number)),
    list: (query) => current.list(query),
    known: () => current.known(),
    idOf: (id) => current.idOf(id),
    rows: () => current.rows(),
    [Symbol.dispose]: () => current[Symbol.dispose](),
  }
}

/** Opens `cache/jobs.sqlite`; a damaged one is replaced by an empty one. */
export function sqliteCatalogue(disk: Disk, dataDir: string): Catalogue {
  const folder = path.join(dataDir, 'cache')
  const file = path.join(folder, 'jobs.sqlite')
  ensureFolder(disk, folder)
  let db: DatabaseSync
  try {
    db = open(file)
  } catch (error) {
    if (!(error instanceof Error)) throw error
    for (const ending of ['', '-wal', '-shm']) removeIfThere(disk, file + ending)
    db = open(file)
  }
  const put = db.prepare('INSERT OR REPLACE INTO job VALUES (?, ?, ?, ?, ?, ?, ?)')
  const remove = db.prepare('DELETE FROM job WHERE number = ?')
  const known = db.prepare('SELECT number, epoch, status FROM job')
  const idOf = db.prepare('SELECT number FROM job WHERE id = ?')
  const rows = db.prepare('SELECT epoch, summary FROM job')
  return {
    put(job) {
      const summary = summaryOf(job)
      const text = JSON.stringify(summary)
      put.run(job.number, job.lease.epoch, job.id, job.kind, job.status, summary.profile, text)
    },
    remove: (number) => void remove.run(number),
    list: (query) => listFrom(db, query),
    known: () =>
      new Map(known.all().map((row) => [Number(row['number']), seen(Number(row['epoch']), String(row['status']))])),
    idOf(id) {
      const row = idOf.get(id)
      return row === undefined ? null : Number(row['number'])
    },
    rows: () =>
      rows.all().map((row) => ({
        epoch: Number(row['epoch']),
        summary: JSON.parse(String(row['summary'])) as JobSummary,
      })),
    [Symbol.dispose]: () => db.close(),
  }
}

function listFrom(db: DatabaseSync, query: JobQuery): { total: number; jobs: JobSummary[] } {
  const where: string[] = []
  const values: (string | number)[] = []
  for (const key of ['kind', 'status', 'profile'] as const) {
    const value = query[key]
    if (value === undefined) continue
    where.push(`${key} = ?`)
    values.push(value)
  }
  for (const [bound, compare] of [
    [query.since, '>='],
    [query.until, '<'],
  ] as const) {
    if (bound === undefined) continue
    where.push(`summary ->> 'createdAt' ${compare} ?`)
    values.push(bound)
  }
  if (query.seenBy !== undefined) scopeTo(query.seenBy, where, values)
  const filter = where.length === 0 ? '' : `WHERE ${where.join(' AND ')}`
  const total = Number(db.prepare(`SELECT count(*) AS n FROM job ${filter}`).get(...values)?.['n'] ?? 0)
  const limit = Math.min(query.limit ?? DEFAULT_LIMIT, LARGEST_LIMIT)
  const rows = db
    .prepare(`SELECT summary FROM job ${filter} ORDER BY number DESC LIMIT ? OFFSET ?`)
    .all(...values, limit, query.offset ?? 0)
  return { total, jobs: rows.map((row) => JSON.parse(String(row['summary'])) as JobSummary) }
}

/** The same as `inScope`. */
function scopeTo({ name, profiles }: Scope, where: string[], values: (string | number)[]): void {
  const backups = profiles === null ? '1' : `profile IN (${profiles.map(() => '?').join(', ')})`
  const verifications = profiles === null ? "kind = 'verify'" : '0'
  const own = "(kind <> 'backup' AND summary ->> 'startedBy' = ?)"
  where.push(`((kind = 'backup' AND ${backups}) OR ${verifications} OR ${own})`)
  values.push(...(profiles ?? []), name)
}

/** Without a cache file: tests, and data folders that cannot hold one. */
export function memoryCatalogue(known: readonly CatalogueRow[] = []): Catalogue {
  const jobs = new Map(known.map((row) => [row.summary.number, row]))
  return {
    put: (job) => void jobs.set(job.number, { epoch: job.lease.epoch, summary: summaryOf(job) }),
    remove: (number) => void jobs.delete(number),
    list(query) {
      const found = [...jobs.values()].map((j) => j.summary).filter((job) => matches(job, query))
      const sorted = found.toSorted((a, b) => b.number - a.number)
      const from = query.offset ?? 0
      return {
        total: found.length,
        jobs: sorted.slice(from, from + Math.min(query.limit ?? DEFAULT_LIMIT, LARGEST_LIMIT)),
      }
    },
    known: () => new Map([...jobs].map(([number, job]) => [number, seen(job.epoch, job.summary.status)])),
    idOf: (id) => [...jobs.values()].find((job) => job.summary.id === id)?.summary.number ?? null,
    rows: () => [...jobs.values()],
    [Symbol.dispose]: () => jobs.clear(),
  }
}
