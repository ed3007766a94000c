import zlib from 'node:zlib'
import { packBlock } from '../../src/archive/pack-block.ts'
import { crcCombine } from '../../src/archive/crc.ts'
import type { ArchiveTotals, EntryHead, EntryTotals, Format } from '../../src/archive/format.ts'
import type { ArchiveReader, ByteSource } from '../../src/archive/reader.ts'
import { jpa } from '../../src/archive/jpa.ts'
import { zip } from '../../src/archive/zip.ts'

/** A whole archive in memory by the writer under test: what the sink does with files, done with buffers. */

export interface Item {
  readonly name: string | Buffer
  readonly kind?: 'file' | 'dir' | 'symlink'
  readonly data?: Buffer
  readonly mode?: number
  readonly mtime?: number
  /** Streamed with an open header, in blocks of 1 MiB; default: deflated whole. */
  readonly how?: 'store' | 'whole' | 'blocks'
  readonly level?: number
}

const MIB = 1 << 20

function blocksOf(data: Buffer, level: number): { bytes: Buffer; crc: number } {
  const pieces: Uint8Array[] = []
  let crc = 0
  for (let at = 0; at < data.length; at += MIB) {
    const bytes = data.subarray(at, at + MIB)
    const packed = packBlock({ bytes, mode: 'block', level })
    pieces.push(packed.data)
    crc = crcCombine(crc, packed.crc, bytes.length)
  }
  return { bytes: Buffer.concat([...pieces, Buffer.from('0300', 'hex')]), crc }
}

class Parts {
  readonly done: Buffer[] = []
  #now: Buffer[] = []
  length = 0
  readonly #partSize: number

  constructor(partSize: number) {
    this.#partSize = partSize
  }
  get index(): number {
    return this.done.length
  }
  whole(bytes: Buffer, more = 0): { part: number; offset: number } {
    if (this.#partSize > 0 && this.length + bytes.length + more > this.#partSize) this.next()
    const place = { part: this.index, offset: this.length }
    this.#push(bytes)
    return place
  }
  cut(bytes: Buffer): void {
    let rest = bytes
    while (this.#partSize > 0 && this.length + rest.length > this.#partSize) {
      const here = this.#partSize - this.length
      this.#push(rest.subarray(0, here))
      rest = rest.subarray(here)
      this.next()
    }
    this.#push(rest)
  }
  next(): void {
    this.done.push(Buffer.concat(this.#now))
    this.#now = []
    this.length = 0
  }
  #push(bytes: Buffer): void {
    this.#now.push(bytes)
    this.length += bytes.length
  }
}

interface Made {
  readonly head: EntryHead
  readonly header: (part: number, offset: number) => Buffer
  readonly body: Buffer
  readonly totals: (part: number, offset: number) => EntryTotals
}

function make(item: Item, { writer }: Format): Made {
  const kind = item.kind ?? 'file'
  const data = item.data ?? Buffer.alloc(0)
  const how = kind === 'file' ? (item.how ?? 'whole') : 'store'
  const level = item.level ?? 6
  const packed = how === 'whole' ? packBlock({ bytes: data, mode: 'whole', level }) : null
  const blocks = how === 'blocks' ? blocksOf(data, level) : null
  const body = Buffer.from(packed?.data ?? blocks?.bytes ?? data)
  const head: EntryHead = {
    name: Buffer.isBuffer(item.name) ? item.name : Buffer.from(item.name),
    kind,
    mode: item.mode ?? { file: 0o100644, dir: 0o40755, symlink: 0o120777 }[kind],
    mtime: item.mtime ?? 1_700_000_000,
    uid: 0,
    gid: 0,
    size: data.length,
    method: packed?.method ?? (blocks === null ? 'store' : 'deflate'),
  }
  const crc = blocks?.crc ?? zlib.crc32(data)
  const totals = (part: number, offset: number): EntryTotals => ({ ...head, crc, stored: body.length, part, offset })
  const header = (part: number, offset: number): Buffer => {
    if (packed !== null) return writer.head(totals(part, offset))
    const open = writer.openHead(head)
    for (const { at, bytes } of writer.patches(totals(part, offset))) bytes.copy(open, at)
    return open
  }
  return { head, header, body, totals }
}

/** The parts of the archive, in order. `partSize` 0: one file. */
export function buildParts(items: readonly Item[], partSize = 0, format: Format = zip): Buffer[] {
  const parts = new Parts(partSize)
  const { writer } = format
  parts.whole(writer.prologue(partSize > 0))
  const done: EntryTotals[] = []
  for (const item of items) {
    const made = make(item, format)
    const { part, offset } = parts.whole(made.header(0, 0), made.body.length > 0 || format.name === 'jpa' ? 1 : 0)
    parts.cut(made.body)
    done.push(made.totals(part, offset))
  }
  return format.name === 'jpa' ? finishJpa(done, parts, partSize, format) : finish(done, parts, partSize, format)
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0)

function finishJpa(done: readonly EntryTotals[], parts: Parts, partSize: number, { writer }: Format): Buffer[] {
  parts.next()
  const totals: ArchiveTotals = {
    entries: done.length,
    parts: parts.done.length,
    uncompressed: sum(done.map(({ size }) => size)),
    stored: sum(done.map(({ stored }) => stored)),
    directoryPart: 0,
    directoryOffset: 0,
    directoryLength: 0,
    lastPartRecords: 0,
    epilogueOffset: 0,
    split: partSize > 0,
  }
  for (const { at, bytes } of writer.finish(totals)) bytes.copy(parts.done[0] ?? Buffer.alloc(0), at)
  return parts.done
}

function finish(done: readonly EntryTotals[], parts: Parts, partSize: number, { writer }: Format): Buffer[] {
  const records = done.map((totals) => writer.record(totals))
  const directory = Buffer.concat(records)
  const room = partSize - parts.length
  if (partSize > 0 && directory.length + 98 > room && directory.length + 98 <= partSize) parts.next()
  let start: { part: number; offset: number } | null = null
  let lastPart = -1
  let lastPartRecords = 0
  for (const record of records) {
    const place = parts.whole(record)
    start ??= place
    lastPartRecords = place.part === lastPart ? lastPartRecords + 1 : 1
    lastPart = place.part
  }
  if (partSize > 0 && parts.length + 98 > partSize) {
    parts.next()
    lastPartRecords = 0
  }
  start ??= { part: parts.index, offset: parts.length }
  const totals: ArchiveTotals = {
    entries: done.length,
    parts: parts.index + 1,
    uncompressed: 0,
    stored: 0,
    directoryPart: start.part,
    directoryOffset: start.offset,
    directoryLength: directory.length,
    lastPartRecords,
    epilogueOffset: parts.length,
    split: partSize > 0,
  }
  parts.whole(writer.epilogue(totals))
  parts.next()
  for (const { at, bytes } of writer.finish(totals)) bytes.copy(parts.done[0] ?? Buffer.alloc(0), at)
  return parts.done
}

export function buildZip(items: readonly Item[]): Buffer {
  return Buffer.concat(buildParts(items))
}

export function buildJpa(items: readonly Item[]): Buffer {
  return Buffer.concat(buildParts(items, 0, jpa))
}

export function memorySource(...parts: Buffer[]): ByteSource {
  const all = Buffer.concat(parts)
  const partOffsets: number[] = []
  let at = 0
  for (const part of parts) {
    partOffsets.push(at)
    at += part.length
  }
  return {
    size: all.length,
    partOffsets,
    read: (position, length) => Buffer.from(all.subarray(position, Math.min(all.length, position + length))),
  }
}

export interface ReadEntry {
  readonly path: string
  readonly kind: string
  readonly mode: number
  readonly mtime: number | null
  readonly data: Buffer
}

/** Everything a reader gives, CRCs compared. */
export async function readAll(reader: ArchiveReader): Promise<ReadEntry[]> {
  const all: ReadEntry[] = []
  for (const entry of reader.entries()) {
    if (entry.refused !== undefined) throw entry.refused
    const pieces: Buffer[] = []
    for await (const piece of reader.content(entry)) pieces.push(Buffer.from(piece.bytes))
    const data = Buffer.concat(pieces)
    if (entry.crc !== null && zlib.crc32(data) !== entry.crc) throw new CrcMismatch(entry.path.toString())
    all.push({ path: entry.path.toString('latin1'), kind: entry.kind, mode: entry.mode, mtime: entry.mtime, data })
  }
  return all
}

export class CrcMismatch extends Error {}

/** Deterministic bytes: `kind` text compresses, noise does not. */
export function sample(length: number, kind: 'text' | 'noise' | 'zero' = 'text', seed = 1): Buffer {
  const bytes = Buffer.alloc(length)
  if (kind === 'zero') return bytes
  let x = seed >>> 0 || 1
  for (let i = 0; i < length; i++) {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    bytes[i] = kind === 'noise' ? x & 0xff : 'etaoin shrdlu\n'.charCodeAt((x >>> 3) % 14)
  }
  return bytes
}
