import { nameFromJson, nameToJson } from '../lib/entry-path.ts'
import { damageOf } from '../lib/database-facts.ts'
import type { FileStat } from '../lib/disk.ts'
import { BackupError, errnoOf } from '../lib/errors.ts'
import { isSqlite, readHeader } from '../lib/sqlite-header.ts'
import type { Progress, StageContext, Steps } from '../engine/stage.ts'
import type { Sink } from '../sink/sink.ts'
import type { Entry, OmitReason, Omission, Pause, SourceItem } from '../source/source.ts'
import type { BackupParts } from './backup-parts.ts'
import { copyEntry, storeAsFile } from './copy-slots.ts'
import { copyDatabase, type CopyFailure } from './database-copy.ts'
import { storeEntry } from './manifest-lines.ts'
import { DATABASES, failDatabase, findDatabase, isOpen, type Found, type NamedDatabase } from './named-databases.ts'

/** Work file: a JSON line for each database stored, for the summary. */
const LIST = 'databases'
/** Databases that the summary names; the manifest names all. */
const MOST_LISTED = 1000

/** A database that is replaced while it is copied is looked up anew so often. */
const ATTEMPTS = 3

/** What the sink is to store in a database's place: the copy, or why there is none. */
async function* prepare(
  parts: BackupParts,
  ctx: StageContext,
  entry: Entry,
  { file, stat }: Found,
): AsyncGenerator<Pause, Entry | CopyFailure, void> {
  for (let attempt = 1, now = stat; ; attempt++) {
    const failure = yield* copyDatabase(ctx, () => parts.openDumper(), { file, path: entry.path, stat: now })
    if (failure === null) return copyEntry(ctx, entry, `${now.dev}:${now.ino}`)
    // Another one has taken its place, as programs do that write a new file and rename it: then that one is meant.
    const next = failure.code === 'SOURCE_CHANGED' && attempt < ATTEMPTS ? databaseAt(ctx, file) : null
    if (next === null) return failure
    now = next
  }
}

/** What lies there now, if it is a database. */
function databaseAt(ctx: StageContext, file: Buffer): FileStat | null {
  try {
    const stat = ctx.disk.lstat(file)
    return stat.kind === 'file' && isSqlite(readHeader(ctx.disk, file)) ? stat : null
  } catch (error) {
    if (errnoOf(error) === undefined) throw error
    return null
  }
}

const REASONS: Readonly<Record<CopyFailure['code'], OmitReason>> = {
  DATABASE_BUSY: 'database_busy',
  DATABASE_DAMAGED: 'database_damaged',
  SOURCE_NOT_FOUND: 'vanished',
  SOURCE_UNREADABLE: 'unreadable',
  SOURCE_CHANGED: 'changed',
}

/**
 * A database found in a source: copied, and stored at its own place. What SQLite cannot copy is stored as a file, with
 * its log and journal, and what is damaged as it is: a backup that leaves it out helps nobody.
 */
export async function* foundDatabase(
  parts: BackupParts,
  ctx: StageContext,
  entry: Entry,
  found: { readonly file: Buffer | null; readonly named: readonly NamedDatabase[] },
): AsyncGenerator<Pause, Entry | Omission, void> {
  const { file, named } = found
  const ready =
    file === null
      ? ({ code: 'SOURCE_UNREADABLE', message: 'its path is longer than SQLite takes' } as const)
      : yield* prepare(parts, ctx, entry, { file, stat: entry.stat })
  const failure = failureOf(ready)
  if (failure !== null) {
    const meant = named.filter((database) => matches(ctx, database, entry))
    for (const database of meant) failDatabase(ctx, database, asError(database, failure))
  }
  storeAsFile(ctx, entry.path, 'code' in ready && ready.code !== 'SOURCE_NOT_FOUND')
  if (!('code' in ready)) return ready
  const { code, message } = ready
  if (code === 'SOURCE_NOT_FOUND') {
    return { type: 'omission', mark: entry.mark, path: entry.path, reason: 'vanished', message }
  }
  const asFile = `the database could not be copied: ${message}; it was stored as a file, which may not open`
  return Object.assign(entry, { flaw: { reason: 'live_database', message: asFile } as const })
}

/** Why there is no copy, or what is wrong with it. */
function failureOf(ready: Entry | CopyFailure): CopyFailure | null {
  if ('code' in ready) return ready
  const damage = damageOf(ready.database?.facts ?? null)
  return damage === null ? null : { code: 'DATABASE_DAMAGED', message: damage }
}

const asError = ({ spec }: NamedDatabase, { code, message }: CopyFailure): BackupError =>
  new BackupError(
    code,
    `the database ${spec.path} ${code === 'DATABASE_DAMAGED' ? 'is damaged' : 'could not be copied'}: ${message}`,
  )

/** Whether it is this database that was named, and still has to be stored: by device and inode. */
export function matches(ctx: StageContext, database: NamedDatabase, { stat }: Pick<Entry, 'stat'>): boolean {
  if (!isOpen(database)) return false
  try {
    const { dev, ino } = ctx.disk.stat(database.spec.path)
    return dev === stat.dev && ino === stat.ino
  } catch (error) {
    if (error instanceof Error && 'code' in error) return false // told when its own turn comes
    throw error
  }
}

/** A database has been stored as `entry`: with that, those named `which`, too. */
export function noteDatabase(ctx: StageContext, entry: Entry, which: readonly NamedDatabase[], size: number): void {
  const { database } = entry
  if (database === undefined) return
  for (const { part } of which) {
    part.status = 'completed'
    part.error = null
    part.files = 1
    part.bytes = size
  }
  const { facts } = database
  const line = {
    path: nameToJson(entry.path),
    names: which.map((one) => one.name),
    ...(facts === null
      ? { type: 'sqlite', consistency: 'snapshot', integrity: 'empty file' }
      : { type: facts.type, consistency: facts.consistency, integrity: facts.integrity, tables: facts.tables }),
  }
  ctx.slot(LIST, () => ({ listed: 0 })).listed++
  ctx.file(LIST).write(Buffer.from(JSON.stringify(line) + '\n', 'utf8'))
  database.done()
}

/** A database of a server has been stored. */
export function noteServerDatabase(
  ctx: StageContext,
  { name, ...facts }: { readonly name: string; readonly [fact: string]: unknown },
): void {
  const line = { path: nameToJson(Buffer.from(`${DATABASES}/${name}`, 'utf8')), names: [name], type: 'sql', ...facts }
  ctx.slot(LIST, () => ({ listed: 0 })).listed++
  ctx.file(LIST).write(Buffer.from(JSON.stringify(line) + '\n', 'utf8'))
}

/** Those databases that lie in no source, or were not met there, each into a folder of its own. */
export async function* packNamed(
  parts: BackupParts,
  ctx: StageContext,
  sink: Sink,
  databases: readonly NamedDatabase[],
): Steps {
  const open = databases.filter(isOpen)
  if (open.length === 0) return
  const items = (): AsyncIterable<SourceItem> => entriesOf(parts, ctx, open)
  const feeding = sink.feed('databases', items, (item, taken) => {
    if (item.type === 'pause') return
    const at = item.path.toString('latin1').split('/')[1]
    const database = open.find(({ name }) => Buffer.from(name, 'utf8').toString('latin1') === at)
    if (database === undefined) throw new BackupError('INTERNAL', 'a database nobody asked for')
    const failure = item.type === 'omission' ? item : taken?.stored === false ? taken : null
    if (failure !== null) {
      return failDatabase(ctx, database, new BackupError('SOURCE_UNREADABLE', failure.message))
    }
    if (item.type !== 'entry' || taken?.stored !== true) return
    storeEntry(ctx, item, taken)
    noteDatabase(ctx, item, [database], taken.size)
    if (item.flaw !== undefined) failDatabase(ctx, database, new BackupError('DATABASE_DAMAGED', item.flaw.message))
  })
  for await (const progress of feeding) yield withShare(progress, databases)
}

/** Pages copied count for the first half of a database; checking and packing follow. */
function withShare(progress: Progress, databases: readonly NamedDatabase[]): Progress {
  const { done = 0, total = 0 } = progress
  const share = total > 0 ? (500 * done) / total : 500
  const finished = databases.filter((database) => !isOpen(database)).length
  const whole = finished === databases.length ? 0 : Math.round(share)
  return { ...progress, done: 1000 * finished + whole, total: 1000 * databases.length }
}

async function* entriesOf(
  parts: BackupParts,
  ctx: StageContext,
  databases: readonly NamedDatabase[],
): AsyncGenerator<SourceItem, void, undefined> {
  for (const database of databases) {
    if (!isOpen(database)) continue
    const found = lookUp(ctx, database)
    if (found !== null) yield namedEntry(parts, ctx, database, found)
  }
}

function lookUp(ctx: StageContext, database: NamedDatabase): Found | null {
  try {
    return findDatabase(ctx, database)
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    failDatabase(ctx, database, error)
    return null
  }
}

function namedEntry(parts: BackupParts, ctx: StageContext, database: NamedDatabase, found: Found): Entry {
  const base = found.file.subarray(found.file.lastIndexOf(0x2f) + 1)
  const name = Buffer.concat([Buffer.from(`${DATABASES}/${database.name}/`, 'utf8'), base])
  const entry: Entry = {
    type: 'entry',
    mark: database.name,
    path: name,
    kind: 'file',
    stat: found.stat,
    open() {
      throw new BackupError('INTERNAL', 'a database is read through its copy only')
    },
  }
  return {
    ...entry,
    async *prepare() {
      const ready = yield* prepare(parts, ctx, entry, found)
      const failure = failureOf(ready)
      if (failure !== null && database.critical) throw asError(database, failure)
      if (!('code' in ready)) return ready
      return {
        type: 'omission',
        mark: entry.mark,
        path: entry.path,
        reason: REASONS[ready.code],
        message: asError(database, ready).message,
      }
    },
  }
}

/** What the summary says of the databases. */
export function databaseSummary(ctx: StageContext): { total: number; stored: object[] } {
  if (ctx.job.slots[LIST] === undefined) return { total: 0, stored: [] }
  const file = ctx.file(LIST)
  const lines = Buffer.from(file.read(0, file.length)).toString('utf8').split('\n').slice(0, -1)
  const stored = lines.slice(0, MOST_LISTED).map((line) => {
    const said = JSON.parse(line) as { path: string }
    return { ...said, path: nameFromJson(said.path).toString('utf8') }
  })
  return { total: lines.length, stored }
}

/** Needed no more. */
export function dropDatabaseList(ctx: StageContext): void {
  if (ctx.job.slots[LIST] === undefined) return
  ctx.drop(LIST)
  ctx.clearSlot(LIST)
}
