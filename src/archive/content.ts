import { Readable } from 'node:stream'
import zlib from 'node:zlib'
import { displayName } from '../lib/entry-path.ts'
import { BackupError } from '../lib/errors.ts'
import { release } from '../lib/release.ts'
import { inflateExactly } from './inflate.ts'
import type { ByteSource, Piece, Restart } from './reader.ts'
import { asStream, blockEnds, blockWindow, isLast } from './blocks.ts'
import type { ArchiveEntry } from './format.ts'
import { BLOCK, damaged } from './zip-records.ts'

/** Places tried as the end of one block before the stream is taken for a foreign one. */
const TRIES = 64
const INPUT = 256 << 10
/** How far back deflate can refer. */
const HISTORY = 32 << 10

/** An entry and where its data begins. */
export interface Located {
  readonly source: ByteSource
  readonly entry: ArchiveEntry
  readonly start: number
}

function* storedContent({ source, entry, start }: Located, from: Restart): Generator<Piece> {
  for (let at = from.plain; at < entry.size;) {
    const bytes = readSome(source, start + at, Math.min(BLOCK, entry.size - at))
    at += bytes.length
    yield { bytes, next: { stored: at, plain: at }, restartable: true }
  }
}

/** The next independent block, proven by unpacking it; null if the stream has none here. */
export function provenBlock({ source, entry, start }: Located, at: Restart): Piece | null {
  const window = blockWindow(source, entry, start, at)
  if (isLast(entry, at)) {
    const bytes = unpacked(window, entry.size - at.plain)
    return bytes === null ? null : { bytes, next: { stored: entry.stored, plain: entry.size }, restartable: true }
  }
  if (entry.size - at.plain <= BLOCK) return null
  let tries = 0
  for (const length of blockEnds(window)) {
    const stream = asStream(window, length, false)
    const bytes = unpacked(stream, BLOCK)
    release(stream)
    if (bytes !== null) {
      const next = { stored: at.stored + length, plain: at.plain + BLOCK }
      return { bytes, next, restartable: true }
    }
    if (++tries === TRIES) return null
  }
  return null
}

function unpacked(stream: Buffer, size: number): Buffer | null {
  try {
    return inflateExactly(stream, size)
  } catch (error) {
    if (error instanceof BackupError) return null // not the end of a block; what the data is worth, the stream shows
    throw error
  }
}

function* stored(source: ByteSource, entry: ArchiveEntry, from: number): Generator<Buffer> {
  for (let at = from; at < from + entry.stored;) {
    const chunk = readSome(source, at, Math.min(INPUT, from + entry.stored - at))
    at += chunk.length
    yield chunk
  }
}

/** At least one byte: a source that ends before its own size must not be asked for ever. */
function readSome(source: ByteSource, at: number, length: number): Buffer {
  const bytes = source.read(at, length)
  if (bytes.length === 0) throw damaged('the archive ends before its data does')
  return bytes
}

/**
 * A stream without blocks of ours: one inflater to the entry's end, cut into pieces of 1 MiB. Bounded
 * memory, but no place to begin again. `history` (the 32 KiB before `at`, where they are known) lets it
 * begin at `at`; without it the stream is unpacked from its beginning, and what lies before `at` dropped.
 */
async function* streamed(
  { source, entry, start }: Located,
  at: Restart,
  history: Buffer | null,
): AsyncGenerator<Piece> {
  const fail = (why: string, cause?: unknown): BackupError => damaged(`entry ${displayName(entry.path)}: ${why}`, cause)
  const begin = history === null ? { stored: 0, plain: 0 } : at
  const inflater = zlib.createInflateRaw({ chunkSize: INPUT, ...(history === null ? {} : { dictionary: history }) })
  const rest = { ...entry, stored: entry.stored - begin.stored }
  const input = Readable.from(stored(source, rest, start + begin.stored), { highWaterMark: 1 })
  input.on('error', (error) => inflater.destroy(error))
  const cutter = new Cutter(at.plain - begin.plain, begin.plain)
  const piece = (bytes: Buffer): Piece => {
    const end = cutter.given === entry.size
    return { bytes, next: { stored: end ? entry.stored : 0, plain: cutter.given }, restartable: end }
  }
  let plain = begin.plain
  try {
    for await (const chunk of input.pipe(inflater) as AsyncIterable<Buffer>) {
      plain += chunk.length
      if (plain > entry.size) throw fail('the data is longer than announced')
      for (const bytes of cutter.add(chunk)) yield piece(bytes)
    }
  } catch (error) {
    throw error instanceof BackupError ? error : fail('the data does not decode', error)
  } finally {
    input.destroy()
    inflater.destroy()
  }
  if (plain < entry.size) throw fail('the data is shorter than announced')
  if (inflater.bytesWritten !== rest.stored) throw fail('bytes follow the end of the compressed data')
  for (const bytes of cutter.rest()) yield piece(bytes)
}

/** Cuts a run of bytes into blocks of 1 MiB after skipping its beginning. */
class Cutter {
  readonly #block = Buffer.allocUnsafeSlow(BLOCK)
  #skip: number
  #filled = 0
  /** Plain bytes passed over or given out. */
  given = 0

  constructor(skip: number, given: number) {
    this.#skip = skip
    this.given = given + skip
  }

  *add(chunk: Buffer): Generator<Buffer> {
    const skipped = Math.min(this.#skip, chunk.length)
    this.#skip -= skipped
    for (let at = skipped; at < chunk.length;) {
      const copied = chunk.copy(this.#block, this.#filled, at)
      at += copied
      this.#filled += copied
      if (this.#filled === BLOCK) yield* this.rest()
    }
  }

  *rest(): Generator<Buffer> {
    if (this.#filled === 0) return
    const bytes = this.#block.subarray(0, this.#filled)
    this.given += this.#filled
    this.#filled = 0
    yield bytes
  }
}

/** Content of an entry from a place in it on. See `ArchiveReader.content`. */
export async function* contentOf(located: Located, from: Restart): AsyncGenerator<Piece> {
  const { entry } = located
  if (entry.method === 'store') return yield* storedContent(located, from)
  if (entry.size === 0 && entry.stored === 0) return // some writers leave an empty deflated entry without a stream
  if (from.plain >= entry.size && from.stored > 0) return
  let at = from
  let history: Buffer | null = null
  while (at.stored > 0 || at.plain === 0) {
    const piece = provenBlock(located, at)
    if (piece === null) break
    if (piece.bytes.length > 0) yield piece
    if (piece.next.plain === entry.size) return
    history = piece.bytes.subarray(-HISTORY)
    at = piece.next
  }
  yield* streamed(located, at, history)
}
