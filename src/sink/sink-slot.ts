import { createHash } from 'node:crypto'
import type { Identity } from '../source/source.ts'
import type { PartState } from './part-writer.ts'

/** The open large file: everything that is needed to go on with its next block in another process. */
export interface OpenSlot {
  /** `pathKey` of the entry's path. */
  path: string
  identity: Identity
  /** Plain bytes packed; always at a block's end. */
  at: number
  crc: number
  stored: number
  method: 'store' | 'deflate'
  /** Where its header lies. */
  part: number
  offset: number
  attempts: number
  /** Its content is made while it is read: its length is `at` when it ends. */
  made?: true
}

/** What the archive sink keeps in the record. */
export interface SinkSlot {
  begun: boolean
  parts: PartState
  /** Tasks applied so far: tells whether what is kept in memory continues from here. */
  applied: number
  entries: number
  uncompressed: number
  stored: number
  open: OpenSlot | null
  /** How often the present file has been begun. */
  attempts: number
  /** Number in the name of the next list of block digests. */
  blocks: number
  /** Parts up to here may lie about after a rewind. */
  removeTo: number
  /** `rewind` has begun: all parts that are complete have left the record. */
  goingBack?: true
  closing: ClosingSlot | null
}

export interface ClosingSlot {
  /** Bytes of the directory file that are copied. */
  at: number
  /** Where the directory begins, and its length without our framing. */
  part: number
  offset: number
  length: number
  /** Records in the part being written. */
  lastPartRecords: number
  done: boolean
}

/** Bytes of a path that a record holds; a longer one would fill it. */
const PLAIN_PATH = 1024

/** Base64 of a path, or its digest where it is long: enough to know it again. */
export function pathKey(path: Buffer): string {
  return path.length <= PLAIN_PATH
    ? path.toString('base64')
    : `sha256:${createHash('sha256').update(path).digest('hex')}`
}

export const newSlot = (): SinkSlot => ({
  begun: false,
  parts: { part: 0, held: -1 },
  applied: 0,
  entries: 0,
  uncompressed: 0,
  stored: 0,
  open: null,
  attempts: 0,
  blocks: 0,
  removeTo: 0,
  closing: null,
})
