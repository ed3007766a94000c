import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import zlib from 'node:zlib'
import type { Item } from './entry.ts'
import { discarded } from './garbage.ts'
import type { Joined } from './parts.ts'
import { localLength } from './zip-items.ts'

/** Content up to this is unpacked in one piece. Bytes. */
const ONE_PIECE = 256 << 10
const PIECE = 64 << 10
/** After so many bytes of one file whoever else has something to do gets a turn: signals, the other thread's answers. */
const TURN = 16 << 20
/** A ZIP header, its name and extra fields: nearly always no longer. */
const HEADER_GUESS = 512

/** What is wrong with one entry: it is named, and the others go on. */
export class Damage extends Error {}

/** Gives an entry's plain bytes to `take`, in order. Throws `Damage` if they do not decode to exactly its size. */
export async function unpack(archive: Joined, item: Item, take: (bytes: Buffer) => void): Promise<void> {
  const start = item.offset + headerLength(archive, item)
  let done = 0
  const count = (bytes: Buffer): void => {
    done += bytes.length
    if (done > item.size) throw new Damage('its content is longer than announced')
    take(bytes)
  }
  if (!item.deflated) await copyStored(archive, item, start, count)
  else if (item.size <= ONE_PIECE && item.stored <= ONE_PIECE) {
    count(inflate(archive.peek(start, item.stored), item.size))
    discarded(2 * item.size)
  } else await inflateLong(archive, item, start, count)
  if (done !== item.size) throw new Damage('its content is shorter than announced')
}

async function copyStored(archive: Joined, item: Item, start: number, take: (bytes: Buffer) => void): Promise<void> {
  let since = 0
  for (const piece of storedPieces(archive, item, start)) {
    take(piece)
    since += piece.length
    if (since < TURN) continue
    since = 0
    await turn()
  }
}

function headerLength(archive: Joined, item: Item): number {
  if (item.headerLength !== null) return item.headerLength
  const length = localLength(archive.peek(item.offset, Math.min(archive.size - item.offset, HEADER_GUESS)))
  if (length === null) throw new Damage('its own header is damaged')
  return length
}

function* storedPieces(archive: Joined, item: Item, start: number): Generator<Buffer, void, undefined> {
  for (let at = 0; at < item.stored;) {
    const length = Math.min(PIECE, item.stored - at)
    const piece = archive.peek(start + at, length)
    if (piece.length === 0) throw new Damage('it is cut off')
    yield piece
    at += piece.length
  }
}

function inflate(data: Buffer, size: number): Buffer {
  try {
    return zlib.inflateRawSync(data, { maxOutputLength: Math.max(1, size), chunkSize: Math.max(64, size) })
  } catch (error) {
    throw new Damage(`its content does not unpack (${textOf(error)})`)
  }
}

async function inflateLong(archive: Joined, item: Item, start: number, take: (bytes: Buffer) => void): Promise<void> {
  const stored = Readable.from(copies(storedPieces(archive, item, start)))
  try {
    await pipeline(stored, zlib.createInflateRaw({ chunkSize: PIECE }), async (plain: AsyncIterable<Buffer>) => {
      for await (const piece of plain) {
        take(piece)
        discarded(2 * piece.length)
      }
    })
  } catch (error) {
    const inData = String((error as NodeJS.ErrnoException).code).startsWith('Z_')
    throw inData ? new Damage(`its content does not unpack (${textOf(error)})`) : error
  }
}

/** The stream keeps what it is given until it has been unpacked; the window is used again before. */
function* copies(pieces: Iterable<Buffer>): Generator<Buffer, void, undefined> {
  for (const piece of pieces) yield Buffer.from(piece)
}

/** The rest of the event loop's turn goes first. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

export const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
