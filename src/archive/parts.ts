import path from 'node:path'
import { readFully, type Disk, type DiskPath } from '../lib/disk.ts'
import { asBackupError, BackupError, errnoOf, type ErrorCode } from '../lib/errors.ts'
import { discarded } from '../lib/scavenge.ts'
import { OWN_FROM, release } from '../lib/release.ts'
import type { ByteSource } from './reader.ts'
import { zip } from './zip.ts'
import { endRecordsIn } from './zip-end.ts'
import { END_SIZE, LOCATOR_SIZE, ONES16, SIG_LOCATOR } from './zip-records.ts'

/** Handles kept open: the parts an entry crosses, and the one with the directory. */
const OPEN_MAX = 4
/** A damaged count must not make us look for thousands of millions of names. */
export const PARTS_MAX = 1 << 20
const AHEAD_MIN = 64 << 10
const AHEAD_MAX = 1 << 20

export interface PartsOptions {
  /** Missing parts count as empty and are listed in `missing` instead of being refused. */
  readonly salvage?: boolean
}

export interface PartSource extends ByteSource, Disposable {
  peek(position: number, length: number): Buffer
  /** The same into memory of the caller's, which it fills as far as there are bytes. */
  readInto(into: Buffer, position: number): Buffer
  /** File names in order; the last one is the file that was asked for. */
  readonly names: string[]
  /** Names of parts that are not there (salvage only). */
  readonly missing: string[]
}

export interface Part {
  readonly name: string
  readonly path: DiskPath
  /** Null: missing. */
  readonly size: number | null
}

/** Links to parts are followed here, once: whoever names an archive may name it by a link. */
export function findPart(disk: Disk, file: string): { path: DiskPath; size: number } | null {
  try {
    const real = disk.realpath(file)
    const stat = disk.stat(real)
    if (stat.kind !== 'file') throw new BackupError('ARCHIVE_NOT_FOUND', `${file} is not a file`)
    return { path: real, size: stat.size }
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return null
    throw unreadable(error, `cannot look at ${file}`, 'ARCHIVE_NOT_FOUND')
  }
}

/** What is there, and may not be read by this account, is neither missing nor a fault of the disk. */
function unreadable(error: unknown, what: string, fallback: ErrorCode): BackupError {
  const errno = errnoOf(error)
  if (errno !== 'EACCES' && errno !== 'EPERM') return asBackupError(error, what, fallback)
  const hint = 'Give this account the right to read the archive.'
  return new BackupError('SOURCE_UNREADABLE', `${what}: permission denied`, { cause: error, hint })
}

export function readAt(disk: Disk, file: DiskPath, position: number, length: number): Buffer {
  const fd = disk.open(file, 'read')
  try {
    const bytes = Buffer.alloc(length)
    return bytes.subarray(0, readFully(disk, fd, bytes, length, position))
  } finally {
    disk.close(fd)
  }
}

/** How many parts the last one says there are; null if its end record does not tell. */
function partsSaid(disk: Disk, file: DiskPath, size: number): number | null {
  const length = Math.min(size, LOCATOR_SIZE + END_SIZE + 0xffff)
  const tail = readAt(disk, file, size - length, length)
  const ends = endRecordsIn(tail)
  const at = ends[0]
  if (at === undefined || ends.length > 1) return null
  const disks = tail.readUInt16LE(at + 4)
  if (disks !== ONES16) return disks + 1
  const locator = at - LOCATOR_SIZE
  return locator >= 0 && tail.readUInt32LE(locator) === SIG_LOCATOR ? tail.readUInt32LE(locator + 16) : null
}

/** Highest part number among the folder's names (`letter` before it), plus the last part. */
export function partsSeen(disk: Disk, folder: string, base: string, letter: string): number {
  let highest = 0
  for (const raw of disk.readdir(folder)) {
    const name = raw.toString('utf8')
    const number = name.startsWith(`${base}.${letter}`) ? /^[0-9]{2,5}$/.exec(name.slice(base.length + 2)) : null
    if (number !== null) highest = Math.max(highest, Number(number[0]))
  }
  return highest + 1
}

function listParts(disk: Disk, last: string, salvage: boolean): Part[] {
  const folder = path.dirname(last)
  const base = path.basename(last).replace(/\.zip$/i, '')
  const end = findPart(disk, last)
  if (end === null && !salvage) throw new BackupError('ARCHIVE_NOT_FOUND', `${last} does not exist`)
  const said = end === null ? null : partsSaid(disk, end.path, end.size)
  const count = Math.min(said ?? partsSeen(disk, folder, base, 'z'), PARTS_MAX)
  return partsNamed(disk, last, count, salvage, (index) => zip.partName(base, index, count))
}

/** The parts of a set of `count`, the last one being `last`. ARCHIVE_NOT_FOUND names one that is missing. */
export function partsNamed(
  disk: Disk,
  last: string,
  count: number,
  salvage: boolean,
  nameOf: (index: number) => string,
): Part[] {
  const folder = path.dirname(last)
  const end = findPart(disk, last)
  const parts: Part[] = []
  for (let index = 0; index < count - 1; index++) {
    const name = nameOf(index)
    const found = findPart(disk, path.join(folder, name))
    if (found === null && !salvage) {
      throw new BackupError('ARCHIVE_NOT_FOUND', `part ${name} of the archive is missing in ${folder}`)
    }
    parts.push({ name, path: found?.path ?? name, size: found?.size ?? null })
  }
  parts.push({ name: path.basename(last), path: end?.path ?? last, size: end?.size ?? null })
  if (parts.every((part) => part.size === null)) throw new BackupError('ARCHIVE_NOT_FOUND', `${last} does not exist`)
  return parts
}

/**
 * The parts of a ZIP archive as one run of bytes: `x.z01`, `x.z02`, … found beside `x.zip`. Their number
 * is what the end record says (leftover files of an older set do no harm), else what lies there.
 * ARCHIVE_NOT_FOUND names the file or part that is missing, SOURCE_UNREADABLE the one that may not be read.
 */
export function openParts(disk: Disk, lastPartPath: string, options: PartsOptions = {}): PartSource {
  return openListed(disk, lastPartPath, options, listParts)
}

/** The parts that `list` finds for a last part. */
export function openListed(
  disk: Disk,
  lastPartPath: string,
  options: PartsOptions,
  list: (disk: Disk, last: string, salvage: boolean) => readonly Part[],
): PartSource {
  try {
    return new JoinedParts(disk, list(disk, lastPartPath, options.salvage === true))
  } catch (error) {
    throw unreadable(error, `cannot open ${lastPartPath}`, 'INTERNAL')
  }
}

/** Parts whose paths are known, in order. */
export function joinParts(disk: Disk, parts: readonly { name: string; path: DiskPath; size: number }[]): PartSource {
  return new JoinedParts(disk, parts)
}

interface Window {
  readonly at: number
  readonly bytes: Buffer
  /** How far was read ahead. */
  readonly ahead: number
}

class JoinedParts implements PartSource {
  readonly size: number
  readonly partOffsets: readonly number[]
  readonly names: string[]
  readonly missing: string[]
  readonly #disk: Disk
  readonly #parts: readonly Part[]
  /** Part index → handle, least recently used first. */
  readonly #open = new Map<number, number>()
  /** Two places are read at a time at most: entries and their directory. The one used last comes first. */
  #windows: Window[] = []
  #scratch: Buffer = Buffer.alloc(0)

  constructor(disk: Disk, parts: readonly Part[]) {
    this.#disk = disk
    this.#parts = parts
    const offsets: number[] = []
    let at = 0
    for (const part of parts) {
      offsets.push(at)
      at += part.size ?? 0
    }
    this.size = at
    this.partOffsets = offsets
    this.names = parts.map((part) => part.name)
    this.missing = parts.filter((part) => part.size === null).map((part) => part.name)
  }

  read(position: number, length: number): Buffer {
    const wanted = Math.max(0, Math.min(length, this.size - position))
    if (wanted === 0) return Buffer.alloc(0)
    const known = this.#windows.find(({ at, bytes }) => at <= position && position <= at + bytes.length)
    const from = known === undefined ? 0 : position - known.at
    if (known !== undefined && from + wanted <= known.bytes.length) {
      if (known !== this.#windows[0]) this.#windows.reverse()
      if (wanted < OWN_FROM) discarded(wanted)
      return Buffer.from(known.bytes.subarray(from, from + wanted))
    }
    if (wanted >= AHEAD_MAX) return this.#load(position, wanted)
    // Reading on where the last one ended pays for reading further ahead.
    const ahead = known === undefined ? AHEAD_MIN : Math.min(known.ahead * 4, AHEAD_MAX)
    const bytes = this.#load(position, Math.min(Math.max(wanted, ahead), this.size - position))
    const other = this.#windows.find((window) => window !== known)
    for (const window of this.#windows) if (window !== other) release(window.bytes)
    this.#windows = [{ at: position, bytes, ahead }, ...(other === undefined ? [] : [other])]
    return Buffer.from(bytes.subarray(0, wanted))
  }

  peek(position: number, length: number): Buffer {
    const wanted = Math.max(0, Math.min(length, this.size - position))
    if (this.#scratch.length < wanted) this.#scratch = Buffer.allocUnsafeSlow(wanted)
    return this.#fill(this.#scratch.subarray(0, wanted), position)
  }

  readInto(into: Buffer, position: number): Buffer {
    return this.#fill(into.subarray(0, Math.max(0, this.size - position)), position)
  }

  [Symbol.dispose](): void {
    for (const fd of this.#open.values()) this.#disk.close(fd)
    this.#open.clear()
    for (const { bytes } of this.#windows) release(bytes)
    this.#windows = []
    release(this.#scratch)
    this.#scratch = Buffer.alloc(0)
  }

  #load(position: number, length: number): Buffer {
    return this.#fill(Buffer.allocUnsafeSlow(length), position)
  }

  #fill(bytes: Buffer, position: number): Buffer {
    const { length } = bytes
    let done = 0
    for (let index = this.#partAt(position); done < length; index++) {
      const part = this.#parts[index]
      if (part === undefined) break
      const within = position + done - (this.partOffsets[index] ?? 0)
      const here = Math.min(length - done, (part.size ?? 0) - within)
      if (here <= 0) continue
      const into = bytes.subarray(done, done + here)
      const got = this.#guard(part, () => readFully(this.#disk, this.#handle(index, part), into, here, within))
      if (got < here) throw new BackupError('ARCHIVE_DAMAGED', `part ${part.name} became shorter while it was read`)
      done += got
    }
    return bytes.subarray(0, done)
  }

  #partAt(position: number): number {
    let low = 0
    let high = this.partOffsets.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((this.partOffsets[middle] ?? 0) <= position) low = middle
      else high = middle - 1
    }
    return low
  }

  #handle(index: number, part: Part): number {
    const known = this.#open.get(index)
    if (known !== undefined) this.#open.delete(index)
    const fd = known ?? this.#disk.open(part.path, 'read')
    this.#open.set(index, fd)
    for (const [other, handle] of this.#open) {
      if (this.#open.size <= OPEN_MAX) break
      this.#open.delete(other)
      this.#disk.close(handle)
    }
    return fd
  }

  #guard<T>(part: Part, work: () => T): T {
    try {
      return work()
    } catch (error) {
      throw unreadable(error, `cannot read part ${part.name}`, 'IO_ERROR')
    }
  }
}
