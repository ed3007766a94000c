import path from 'node:path'
import type { Audit, AuditEntry, AuditEvent } from '../engine/services.ts'
import type { Clock } from '../lib/clock.ts'
import { readFully, writeFully, type Disk } from '../lib/disk.ts'
import { ensureFolder, syncFolder } from '../lib/durable-file.ts'
import { asBackupError, BackupError, errnoOf } from '../lib/errors.ts'
import { Revisions, type Revision } from '../lib/revisions.ts'
import { decodeEntry, encodeEntry, FIRST_PREV, makeEntry } from './audit-line.ts'
import { trailFile, trailFiles } from './audit-files.ts'
import { readEntries } from './audit-read.ts'
import { verifyTrail } from './audit-verify.ts'
import { Reserve } from './reserve.ts'

/**
 * The audit trail: `<data>/audit/audit.jsonl`, one JSON object a line, each with the hash of the one before. A file that
 * has grown large is followed by another (`audit-files.ts`); the chain goes on from the one to the next.
 * The head record `head-<n>.json` beside it holds entry *n* and where its line belongs. Creating head *n* + 1,
 * exclusively, is the commit of an entry (so two processes never write the same number); the line is written
 * into the file after it, always at the place the head names, so whoever finds it missing or torn writes the
 * same bytes there. The last file must therefore end with the line of the head: a tail that was cut off shows.
 */
export interface Head {
  readonly revision: Revision
  /** Entry with which the file of `entry` begins. */
  readonly first: number
  /** Where the line of `entry` begins in the file. */
  readonly offset: number
  readonly entry: AuditEntry
}

const TRIES = 100
/** A file this large is followed by another. Bytes. */
const ROTATED_AT = 16 * 1024 * 1024

/** Where the next line goes. */
interface Place {
  readonly first: number
  readonly end: number
}

export class AuditTrail implements Audit {
  readonly folder: string
  readonly #disk: Disk
  readonly #clock: Clock
  readonly #heads: Revisions
  readonly #reserve: Reserve
  readonly #rotatedAt: number

  /** `who`: as in `Revisions`. `rotatedAt`: bytes. */
  constructor(disk: Disk, clock: Clock, dataDir: string, who?: string, rotatedAt: number = ROTATED_AT) {
    this.#disk = disk
    this.#clock = clock
    this.folder = path.join(dataDir, 'audit')
    this.#heads = new Revisions(disk, this.folder, 'head', who)
    this.#reserve = new Reserve(disk, path.join(this.folder, 'reserve'))
    this.#rotatedAt = rotatedAt
  }

  note(event: AuditEvent): void {
    try {
      for (let left = TRIES; left > 0; left--) if (this.#append(event)) return this.#reserve.keep()
    } catch (error) {
      if (errnoOf(error) === undefined) throw error
      throw asBackupError(error, `cannot write the audit trail in ${this.folder}`, 'OUTPUT_UNWRITABLE')
    }
    throw new BackupError('TOO_MANY_REQUESTS', 'others keep writing to the audit trail', {
      data: { retryAfterMs: 500 },
    })
  }

  read(from: number | undefined, limit: number): { entries: AuditEntry[]; total: number } {
    const last = this.head()?.entry
    const total = last?.seq ?? 0
    const start = from ?? Math.max(1, total - limit + 1)
    const entries = readEntries(this.#disk, this.folder, start, limit)
    // Committed, and its line not yet in the file.
    const late = last !== undefined && last.seq >= start && (entries.at(-1)?.seq ?? 0) < last.seq
    if (late && entries.length < limit) entries.push(last)
    return { entries, total }
  }

  verify(): ReturnType<Audit['verify']> {
    const verdict = verifyTrail(this.#disk, this.folder, () => this.head())
    const isGone = verdict.ok && verdict.entries === 0 && this.#hasUsers()
    return isGone
      ? { ...verdict, ok: false, reason: 'there are users, and no entry tells of them: it was removed' }
      : verdict
  }

  /** No user is made without an entry before it. */
  #hasUsers(): boolean {
    try {
      const names = this.#disk.readdir(path.join(this.folder, '../access'))
      return names.some((name) => /^users-\d+\.json$/.test(name.toString('utf8')))
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return false
      throw error
    }
  }

  /** The newest entry, from the head record; null: there is none. STATE_DAMAGED. */
  head(): Head | null {
    const found = this.#heads.read()
    return found === null ? null : parseHead(found, this.#heads.file(found.number))
  }

  /** False: not yet; somebody else was faster, or something had to be mended first. */
  #append(event: AuditEvent): boolean {
    const head = this.head()
    if (head === null) ensureFolder(this.#disk, this.folder)
    const first = head?.first ?? 1
    const { state, end } = this.#reserve.spend(() => this.#prepare(head, first))
    if (state === 'whole') return this.#commit(event, head, this.#placeAfter(head, { first, end }))
    this.#commit(mending(state, head?.entry.seq ?? 0), head, { first, end })
    return false
  }

  /** Behind the last line, or in a file of its own. One that is there already is somebody else's: nothing is written over. */
  #placeAfter(head: Head | null, place: Place): Place {
    const next = (head?.entry.seq ?? 0) + 1
    if (place.end < this.#rotatedAt || trailFiles(this.#disk, this.folder).includes(next)) return place
    return { first: next, end: 0 }
  }

  /** Sees to it that the file ends with the line of the head, or at least with a line. `end`: where the next one goes. */
  #prepare(head: Head | null, first: number): { state: Ending; end: number } {
    const fd = this.#open(first)
    try {
      const size = this.#disk.fstat(fd).size
      const state = head === null ? (size === 0 ? 'whole' : 'foreign') : endingOf(this.#disk, fd, head)
      if (state !== 'whole') this.#mend(fd, head)
      // The head that holds the line is swept later: the line must last before the next one exists.
      this.#disk.datasync(fd)
      return { state, end: this.#disk.fstat(fd).size }
    } finally {
      this.#disk.close(fd)
    }
  }

  /** A file that was cut gets the line where it ends now: what is gone stays visible, and nothing is written over. */
  #mend(fd: number, head: Head | null): void {
    if (head !== null && endingOf(this.#disk, fd, head) === 'torn') return this.#write(fd, head.entry, head.offset)
    const size = this.#disk.fstat(fd).size
    const start = endsLine(this.#disk, fd, size) ? '' : '\n'
    writeFully(this.#disk, fd, Buffer.from(start), size)
    if (head !== null && size < head.offset) this.#write(fd, head.entry, size + start.length)
  }

  #commit(event: AuditEvent, before: Head | null, { first, end }: Place): boolean {
    const seq = (before?.entry.seq ?? 0) + 1
    const entry = makeEntry(seq, this.#clock.wall(), before?.entry.hash ?? FIRST_PREV, event)
    const value = { first, offset: end, entry }
    if (this.#reserve.put(this.#heads, before?.revision ?? null, value) === null) return false
    try {
      const fd = this.#open(first)
      try {
        this.#write(fd, entry, end)
      } finally {
        this.#disk.close(fd)
      }
    } catch (error) {
      // The head holds the entry, durably: whoever writes next puts the line where it belongs.
      if (errnoOf(error) === undefined) throw error
    }
    return true
  }

  #write(fd: number, entry: AuditEntry, at: number): void {
    writeFully(this.#disk, fd, Buffer.from(encodeEntry(entry), 'utf8'), at)
  }

  #open(first: number): number {
    const file = trailFile(this.folder, first)
    try {
      return this.#disk.open(file, 'update')
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error
    }
    let fd: number
    try {
      fd = this.#disk.open(file, 'create')
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error
      return this.#disk.open(file, 'update')
    }
    try {
      syncFolder(this.#disk, this.folder)
      return fd
    } catch (error) {
      this.#disk.close(fd)
      throw error
    }
  }
}

/**
 * How the file ends, seen from the head: with its line; with a part of it, or (after a power cut) with its length but
 * other bytes; or somewhere else, which no crash explains.
 */
export type Ending = 'whole' | 'torn' | 'foreign'

export function endingOf(disk: Disk, fd: number, head: Head): Ending {
  const line = Buffer.from(encodeEntry(head.entry), 'utf8')
  const size = disk.fstat(fd).size
  if (size < head.offset || size > head.offset + line.length) return 'foreign'
  const found = Buffer.alloc(size - head.offset)
  readFully(disk, fd, found, found.length, head.offset)
  return found.equals(line) ? 'whole' : 'torn'
}

function endsLine(disk: Disk, fd: number, size: number): boolean {
  if (size === 0) return true
  const last = Buffer.alloc(1)
  return readFully(disk, fd, last, 1, size - 1) === 1 && last[0] === 0x0a
}

const mending = (state: Ending, seq: number): AuditEvent => ({
  event: state === 'torn' ? 'audit.completed' : 'audit.damaged',
  actor: '',
  face: '',
  address: '',
  object: `entry:${seq}`,
  result: state === 'torn' ? 'ok' : 'STATE_DAMAGED',
  request: '',
})

const isWhole = (value: unknown, least: number): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= least

function parseHead(revision: Revision, file: string): Head {
  const { value, number } = revision
  if (typeof value === 'object' && value !== null && 'offset' in value && 'entry' in value) {
    const { offset } = value
    const first = 'first' in value ? value.first : 1 // written before there was more than one file
    const entry = decodeEntry(JSON.stringify(value.entry))
    const good = isWhole(offset, 0) && isWhole(first, 1) && first <= number
    if (good && typeof entry === 'object' && entry.seq === number) return { revision, first, offset, entry }
  }
  throw new BackupError('STATE_DAMAGED', `the head record ${file} of the audit trail was changed`, {
    hint: 'Keep a copy of the audit folder, then move it away; a new trail begins.',
    data: { file },
  })
}
