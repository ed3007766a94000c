import { randomBytes } from 'node:crypto'
import { ensureFolder, removeIfThere } from '../lib/durable-file.ts'
import { displayName } from '../lib/entry-path.ts'
import { BackupError, errnoOf } from '../lib/errors.ts'
import type { FileStat } from '../lib/disk.ts'
import type { StageContext } from '../engine/stage.ts'
import type { Dump, DumpEnd, DumpFault, Dumper } from '../dump/dumper.ts'
import type { Pause } from '../source/source.ts'
import { addCopy, copySlots, dropCopy, pathDigest, type CopySlot } from './copy-slots.ts'

/** A database to be copied. */
export interface Original {
  /** Absolute, without links. */
  readonly file: Buffer
  /** Archive-relative path: how people know it. */
  readonly path: Buffer
  readonly stat: FileStat
}

export interface CopyFailure {
  readonly code: DumpFault
  readonly message: string
}

/** A small database is there within this, and then no moment to wait at is needed. Milliseconds. */
const QUICK = 150
/** Between two looks at a copy that is under way. Milliseconds. */
const LOOK = 50
/** Copies lost with their processes before one is taken in a single step, however long that takes. */
const MAY_BE_LOST = 2
/** Copies lost before it is given up: something in this database ends whoever copies it. */
const GIVEN_UP = 6

/**
 * Takes a consistent copy of a database into a work file. The copy lives in one process, and goes on in it between
 * steps while the same process takes them; a process that is lost loses it, and it begins again. How often that
 * happened stands in the slot: after two lost ones the third runs to its end in one step. That is the one exception to
 * "resuming is starting". Each attempt has a file name of its own, so that a late one writes into nobody's copy.
 * Null: the copy is there. This outlives steps: after each wait the record is another object.
 */
export async function* copyDatabase(
  ctx: StageContext,
  dumper: () => Dumper,
  original: Original,
): AsyncGenerator<Pause, CopyFailure | null, void> {
  const key = `${original.stat.dev}:${original.stat.ino}`
  const path = pathDigest(original.path)
  const present = copySlots(ctx)[key]
  if (present !== undefined && present.name !== null) {
    if (present.path === path || (present.linked && !hasLog(ctx, original))) return null
    dropCopy(ctx, key)
  }
  const slot = (copySlots(ctx)[key] ??= newSlot(path, original.stat))
  if (slot.attempts >= GIVEN_UP) return givenUp(ctx, key)
  slot.attempts++
  const beyond = slot.attempts > MAY_BE_LOST
  if (beyond) warnBeyond(ctx, original)
  const name = `copy-${randomBytes(6).toString('hex')}.sqlite`
  const dump = begin(ctx, dumper, original, name)
  const end = yield* ended(ctx, dump, key, { name: displayName(original.path), beyond })
  for (const note of 'notes' in end ? end.notes : []) ctx.log('warn', `${displayName(original.path)}: ${note}`)
  if (end.ok) {
    addCopy(ctx, key, name, end)
    return null
  }
  delete copySlots(ctx)[key]
  return { code: end.code, message: end.message }
}

const newSlot = (path: string, stat: FileStat): CopySlot => ({
  path,
  attempts: 0,
  name: null,
  size: 0,
  mtimeNs: String(stat.mtimeNs),
  linked: stat.nlink > 1,
})

/** A log or journal goes with one name of a database: a copy made by another name knows nothing of it. */
function hasLog(ctx: StageContext, { file }: Original): boolean {
  return ['-wal', '-journal'].some((suffix) => {
    try {
      return ctx.disk.lstat(Buffer.concat([file, Buffer.from(suffix)])).size > 0
    } catch (error) {
      if (errnoOf(error) === undefined) throw error
      return false
    }
  })
}

function givenUp(ctx: StageContext, key: string): CopyFailure {
  delete copySlots(ctx)[key]
  return { code: 'SOURCE_UNREADABLE', message: `the process that copied it was lost ${GIVEN_UP} times` }
}

function warnBeyond(ctx: StageContext, original: Original): void {
  const lost = `the copy of the database ${displayName(original.path)} was lost with its process ${MAY_BE_LOST} times`
  ctx.warn('database', `${lost}; it is now taken in one step, which may take longer than a step should`)
}

function begin(ctx: StageContext, dumper: () => Dumper, original: Original, name: string): Dump {
  const folder = ctx.folder('out')
  ensureFolder(ctx.disk, folder)
  const { dev, ino, size } = original.stat
  if (ctx.disk.free(folder) < size) {
    throw new BackupError('DISK_FULL', `there is no room for a copy of the database ${displayName(original.path)}`)
  }
  // What another attempt is still writing is given up before its file is removed.
  const dump = ctx.keep('dumper', dumper).begin({ path: original.file, dev, ino, to: ctx.path(name, 'out') })
  sweepCopies(ctx, name)
  return dump
}

/** Copies that no record names, and what SQLite left beside them: their processes are gone, or write for nobody. */
function sweepCopies(ctx: StageContext, but: string): void {
  for (const bytes of ctx.disk.readdir(ctx.folder('out'))) {
    const name = bytes.toString('utf8')
    const copy = /^(copy-[0-9a-f]{12}\.sqlite)(?:-wal|-shm|-journal)?$/.exec(name)?.[1]
    if (copy === undefined || copy === but) continue
    const known = `out/${copy}` in ctx.job.files || Object.values(copySlots(ctx)).some((slot) => slot.name === copy)
    if (!known) removeIfThere(ctx.disk, ctx.path(name, 'out'))
  }
}

/** Waits for its end, with a moment now and then at which the step may end. */
async function* ended(
  ctx: StageContext,
  dump: Dump,
  key: string,
  { name, beyond }: { name: string; beyond: boolean },
): AsyncGenerator<Pause, DumpEnd, void> {
  const rest = beyond ? ({ beyond } as const) : {}
  try {
    let end = await dump.wait(Math.min(QUICK, Math.max(0, ctx.left)))
    // From here on a loss counts: it is in the record that this attempt was begun.
    if (end === null) yield { ...moment(dump, name), ...rest, durable: true }
    while (end === null) {
      end = await dump.wait(ctx.closing && !beyond ? 0 : LOOK)
      if (end === null) yield { ...moment(dump, name), ...rest }
    }
    return end
  } catch (error) {
    if (!(error instanceof BackupError) || error.code !== 'DISK_FULL') throw error
    delete copySlots(ctx)[key] // nothing was lost: there was no room
    yield { ...moment(dump, name), durable: true }
    throw error
  }
}

function moment({ progress: { phase, done, total } }: Dump, name: string): Pause {
  const share = total > 0 ? `: ${Math.floor((100 * Math.min(done, total)) / total)} %` : ''
  const what = {
    copy: `copying the database ${name}${share}`,
    check: `checking the copy of the database ${name}`,
    count: `counting the rows of the database ${name}`,
    waiting: `waiting for the database ${name}, which another program holds locked`,
  }[phase]
  return { type: 'pause', message: what, waits: true, ...(phase === 'copy' ? { done, total } : {}) }
}
