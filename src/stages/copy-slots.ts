import { createHash } from 'node:crypto'
import type { DatabaseFacts } from '../lib/database-facts.ts'
import { damageOf, databaseFacts } from '../lib/database-facts.ts'
import { BackupError } from '../lib/errors.ts'
import type { StageContext } from '../engine/stage.ts'
import type { DumpEnd } from '../dump/dumper.ts'
import { sameIdentity, type Entry, type Identity } from '../source/source.ts'
import { OpenWorkFile } from './own-entry.ts'

/** A copy of a database, under way or complete; in the slot `copies` under `dev:ino` of the original. */
export interface CopySlot {
  /** Digest of the archive-relative path it was made for. */
  path: string
  /** How often it was begun. */
  attempts: number
  /** Its work file (place `out`) once it is complete. */
  name: string | null
  size: number
  /** Of the original. */
  mtimeNs: string
  /** The original has several names: the copy is kept for the others. */
  linked: boolean
}

/** Copies kept for further names of their originals; the record stays small. */
const KEPT = 16
/** Databases remembered as stored like files: until their logs have had their turn, a few names later. */
const REMEMBERED = 64
const AS_FILES = 'databasesAsFiles'
const STORED_DAMAGED = 'the database is damaged, and its copy, which was stored, as well'

export const copySlots = (ctx: StageContext): Record<string, CopySlot> =>
  ctx.slot<Record<string, CopySlot>>('copies', () => ({}))

/** What SQLite said about a copy, as a work file beside the record. */
export const factsFile = (name: string): string => `${name}.json`

/** A copy that has ended well becomes a work file; both become true with the next commit. */
export function addCopy(ctx: StageContext, key: string, name: string, end: Extract<DumpEnd, { ok: true }>): void {
  const slot = copySlots(ctx)[key]
  if (slot === undefined) throw new BackupError('INTERNAL', 'a copy was made that nobody asked for')
  const file = ctx.adopt(name, 'out')
  if (file.length !== end.size) throw new BackupError('IO_ERROR', `${file.path} changed after it was complete`)
  ctx.file(factsFile(name)).write(Buffer.from(JSON.stringify(end.facts), 'utf8'))
  slot.name = name
  slot.size = end.size
}

/** The entry that is stored in the original's place: its name, times and mode, the copy's bytes. */
export function copyEntry(ctx: StageContext, entry: Entry, key: string): Entry {
  const slot = copySlots(ctx)[key]
  if (slot === undefined || slot.name === null) throw new BackupError('INTERNAL', 'a copy is not there')
  const { name, size, mtimeNs } = slot
  const identity: Identity = { dev: '0', ino: name, size, mtimeNs, ctimeNs: '0' }
  const facts = readFacts(ctx, name)
  const damage = damageOf(facts)
  return {
    type: 'entry',
    mark: entry.mark,
    path: entry.path,
    kind: 'file',
    stat: { ...entry.stat, size, blocks: Math.ceil(size / 512), mtimeNs: BigInt(mtimeNs) },
    ...(entry.xattrs === undefined ? {} : { xattrs: entry.xattrs }),
    ...(damage === null ? {} : { flaw: { reason: 'database_damaged', message: `${STORED_DAMAGED}: ${damage}` } }),
    database: { facts, key, done: () => finished(ctx, key) },
    open(same) {
      if (same !== undefined && !sameIdentity(same, identity)) {
        throw new BackupError('SOURCE_CHANGED', 'the database was copied anew')
      }
      return new OpenWorkFile(() => ctx.file(name, 'out'), identity)
    },
  }
}

function readFacts(ctx: StageContext, name: string): DatabaseFacts | null {
  const file = ctx.file(factsFile(name))
  return databaseFacts(JSON.parse(Buffer.from(file.read(0, file.length)).toString('utf8')))
}

/** The copy was stored under one name: only those of files with more of them are kept, the latest. */
function finished(ctx: StageContext, key: string): void {
  const slots = copySlots(ctx)
  if (slots[key]?.linked !== true) return dropCopy(ctx, key)
  const kept = Object.keys(slots).filter((other) => slots[other]?.linked === true && slots[other].name !== null)
  for (const oldest of kept.filter((other) => other !== key).slice(0, Math.max(0, kept.length - KEPT))) {
    dropCopy(ctx, oldest)
  }
}

export function dropCopy(ctx: StageContext, key: string): void {
  const slots = copySlots(ctx)
  const name = slots[key]?.name ?? null
  delete slots[key]
  if (name === null) return
  ctx.drop(name, 'out')
  ctx.drop(factsFile(name))
}

/** Copies that are needed no more: all entries are in. */
export function dropCopies(ctx: StageContext): void {
  for (const key of Object.keys(copySlots(ctx))) dropCopy(ctx, key)
  ctx.clearSlot('copies')
  ctx.clearSlot(AS_FILES)
  ctx.forget('dumper')
}

export const pathDigest = (path: Buffer): string => createHash('sha256').update(path).digest('hex').slice(0, 32)

/** Databases that could not be copied: digests of their archive-relative paths, the latest last. */
const asFiles = (ctx: StageContext): string[] =>
  ctx.job.slots[AS_FILES] === undefined ? [] : ctx.slot(AS_FILES, () => ({ paths: [] as string[] })).paths

/** Whether the database at this path, and so what lies beside it, is stored like any file. */
export const isStoredAsFile = (ctx: StageContext, path: Buffer): boolean => asFiles(ctx).includes(pathDigest(path))

export function storeAsFile(ctx: StageContext, path: Buffer, yes: boolean): void {
  if (isStoredAsFile(ctx, path) === yes) return
  const others = asFiles(ctx).filter((one) => one !== pathDigest(path))
  const paths = yes ? [...others, pathDigest(path)].slice(-REMEMBERED) : others
  ctx.slot(AS_FILES, () => ({ paths })).paths = paths
}
