import { createHash } from 'node:crypto'
import type { StageContext } from '../../engine/stage.ts'
import { FILES } from './slots.ts'

/**
 * Finds entries whose names are one name for a file system that does not tell upper from lower case, in
 * bounded memory however many there are: 64 bits of each folded name's hash go to one of several work
 * files, and each of those is then compared within itself (S-RES-3: never "the last one wins"). Names
 * that are equal byte for byte are the reader's affair.
 *
 * One record: 8 bytes of hash, 8 bytes of index.
 */
const RECORD = 16
/** Names per work file, on average. */
const PER_BUCKET = 1_000_000

export const bucketsFor = (entries: number): number => Math.max(1, Math.ceil(entries / PER_BUCKET))

/** What a file system that does not tell upper from lower case takes for the same. */
export const foldedName = (path: Buffer): string => path.toString('utf8').normalize('NFC').toUpperCase().toLowerCase()

/** Notes a name. */
export function noteName(ctx: StageContext, path: Buffer, index: number, buckets: number): void {
  const hash = createHash('sha256').update(foldedName(path)).digest()
  const record = Buffer.allocUnsafe(RECORD)
  hash.copy(record, 0, 0, 8)
  record.writeBigUInt64LE(BigInt(index), 8)
  ctx.file(FILES.names(hash.readUInt32LE(8) % buckets)).write(record)
}

/** Writes the indexes of repeated names in one bucket to the list; returns how many there are. */
export function compareBucket(ctx: StageContext, bucket: number): number {
  const file = ctx.file(FILES.names(bucket))
  const table = new NameTable(file.length / RECORD)
  const list = ctx.file(FILES.repeats)
  const chunk = RECORD * 16_384
  let found = 0
  for (let at = 0; at < file.length; at += chunk) {
    const bytes = file.read(at, Math.min(chunk, file.length - at))
    for (let record = 0; record < bytes.length; record += RECORD) {
      if (table.add(bytes.readUInt32LE(record), bytes.readUInt32LE(record + 4))) continue
      list.write(bytes.subarray(record + 8, record + RECORD))
      found++
    }
  }
  ctx.drop(FILES.names(bucket))
  return found
}

/** Open addressing over 64-bit keys, 12 bytes a place, at most half full. */
export class NameTable {
  readonly #low: Uint32Array
  readonly #high: Uint32Array
  readonly #used: Uint8Array
  readonly #mask: number

  constructor(names: number) {
    const size = 2 ** Math.ceil(Math.log2(Math.max(16, names * 2)))
    this.#low = new Uint32Array(size)
    this.#high = new Uint32Array(size)
    this.#used = new Uint8Array(size)
    this.#mask = size - 1
  }

  /** False if the key is there already. */
  add(low: number, high: number): boolean {
    const at = this.#place(low, high)
    if (this.#used[at] === 1) return false
    this.#used[at] = 1
    this.#low[at] = low
    this.#high[at] = high
    return true
  }

  has(low: number, high: number): boolean {
    return this.#used[this.#place(low, high)] === 1
  }

  /** Where the key is, or would be. */
  #place(low: number, high: number): number {
    let at = low & this.#mask
    while (this.#used[at] === 1 && (this.#low[at] !== low || this.#high[at] !== high)) at = (at + 1) & this.#mask
    return at
  }
}

/** The entries that repeat an earlier one's name in the target, one bit each. */
export class Repeats implements Disposable {
  #bits: Uint8Array

  constructor(ctx: StageContext, entries: number, any: boolean) {
    this.#bits = new Uint8Array(any ? Math.ceil(entries / 8) : 0)
    if (!any) return
    const file = ctx.file(FILES.repeats)
    for (let at = 0; at < file.length; at += 8 * 8192) {
      const bytes = file.read(at, Math.min(8 * 8192, file.length - at))
      for (let i = 0; i < bytes.length; i += 8) this.#mark(Number(bytes.readBigUInt64LE(i)))
    }
  }

  has(index: number): boolean {
    return ((this.#bits[index >> 3] ?? 0) & (1 << (index & 7))) !== 0
  }

  [Symbol.dispose](): void {
    this.#bits = new Uint8Array(0)
  }

  #mark(index: number): void {
    const at = index >> 3
    this.#bits[at] = (this.#bits[at] ?? 0) | (1 << (index & 7))
  }
}
