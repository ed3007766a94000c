import type { AppendFile } from '../lib/append-file.ts'
import type { FileKind } from '../lib/disk.ts'

/**
 * Sorted names in a work file. Names are sorted in memory in runs and the runs are merged while
 * they are read, so there is no second pass over the file.
 *
 * A run is a sequence of pages of 16 KiB, the last one shorter. A page holds whole records: u16
 * length of the name, u8 kind, name; a length of 0 ends a page early. Pages begin with a record, so
 * a name is found by bisection. Behind the runs lies their table: pairs of u48 start and u48 length.
 * All numbers little-endian.
 */
const PAGE = 16_384
const HEAD = 3
const PAIR = 12

const KINDS: readonly (FileKind | null)[] = [null, 'file', 'dir', 'symlink', 'fifo', 'socket', 'char', 'block']

export interface Name {
  readonly name: Buffer
  /** As the folder's listing told, if it did. */
  readonly kind: FileKind | null
}

export interface Run {
  readonly start: number
  readonly length: number
}

export function compareNames(a: Name, b: Name): number {
  return Buffer.compare(a.name, b.name)
}

/** Names on their way into a run, packed: a Buffer for each would be many times their size. */
export class Batch {
  #bytes = Buffer.allocUnsafeSlow(PAGE)
  #length = 0
  /** Where each record begins. */
  readonly #starts: number[] = []

  get size(): number {
    return this.#starts.length
  }

  add({ name, kind }: Name): void {
    const end = this.#length + HEAD + name.length
    if (end > this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes], 2 * end)
    this.#bytes.writeUInt16LE(name.length, this.#length)
    this.#bytes[this.#length + 2] = KINDS.indexOf(kind)
    this.#bytes.set(name, this.#length + HEAD)
    this.#starts.push(this.#length)
    this.#length = end
  }

  /** Sorts the names and appends them as one run; the batch is empty afterwards. */
  write(file: AppendFile): Run {
    const bytes = this.#bytes
    const endOf = (at: number): number => at + HEAD + bytes.readUInt16LE(at)
    this.#starts.sort((a, b) => bytes.compare(bytes, b + HEAD, endOf(b), a + HEAD, endOf(a)))
    const start = file.length
    const page = Buffer.alloc(PAGE)
    let at = 0
    for (const record of this.#starts) {
      const end = endOf(record)
      if (at + end - record > PAGE) {
        page.fill(0, at)
        file.write(page)
        at = 0
      }
      at += bytes.copy(page, at, record, end)
    }
    file.write(page.subarray(0, at))
    this.#starts.length = 0
    this.#length = 0
    return { start, length: file.length - start }
  }
}

/** Appends the table of the runs; returns where it begins. */
export function writeTable(file: AppendFile, runs: readonly Run[]): number {
  const start = file.length
  const table = Buffer.alloc(runs.length * PAIR)
  runs.forEach((run, i) => {
    table.writeUIntLE(run.start, i * PAIR, 6)
    table.writeUIntLE(run.length, i * PAIR + 6, 6)
  })
  file.write(table)
  return start
}

export function readTable(file: AppendFile, start: number): Run[] {
  const table = file.read(start, file.length - start)
  const runs: Run[] = []
  for (let at = 0; at + PAIR <= table.length; at += PAIR) {
    runs.push({ start: table.readUIntLE(at, 6), length: table.readUIntLE(at + 6, 6) })
  }
  return runs
}

class RunReader {
  readonly #file: AppendFile
  readonly #run: Run
  #page: Buffer
  #next: number
  #at = 0
  current: Name | null = null

  /** Stands before the first name at or after `from`. */
  constructor(file: AppendFile, run: Run, from: Buffer | null) {
    this.#file = file
    this.#run = run
    const page = from === null ? 0 : this.#find(from)
    this.#page = this.#read(page)
    this.#next = page + 1
    this.advance()
    while (from !== null && this.current !== null && Buffer.compare(this.current.name, from) < 0) this.advance()
  }

  advance(): void {
    if (this.#ended()) {
      this.#page = this.#read(this.#next++)
      this.#at = 0
      if (this.#ended()) {
        this.current = null
        return
      }
    }
    const length = this.#page.readUInt16LE(this.#at)
    const begin = this.#at + HEAD
    const kind = KINDS[this.#page[this.#at + 2] ?? 0] ?? null
    this.current = { name: this.#page.subarray(begin, begin + length), kind }
    this.#at = begin + length
  }

  #ended(): boolean {
    return this.#at + HEAD > this.#page.length || this.#page.readUInt16LE(this.#at) === 0
  }

  /** The last page whose first name is not after `name`. */
  #find(name: Buffer): number {
    let low = 0
    let high = Math.ceil(this.#run.length / PAGE) - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      const head = this.#file.read(this.#run.start + middle * PAGE, HEAD)
      const first = this.#file.read(this.#run.start + middle * PAGE + HEAD, head.readUInt16LE(0))
      if (Buffer.compare(first, name) <= 0) low = middle
      else high = middle - 1
    }
    return low
  }

  #read(page: number): Buffer {
    const offset = page * PAGE
    const length = Math.max(0, Math.min(PAGE, this.#run.length - offset))
    return this.#file.read(this.#run.start + offset, length)
  }
}

/** Names of all runs in order, each once, beginning with the first one at or after `from`. */
export class MergedNames {
  /** Binary heap by current name. */
  readonly #heap: RunReader[] = []
  #last: Buffer | null = null

  constructor(file: AppendFile, runs: readonly Run[], from: Buffer | null) {
    for (const run of runs) {
      const reader = new RunReader(file, run, from)
      if (reader.current !== null) this.#heap.push(reader)
    }
    for (let i = (this.#heap.length >> 1) - 1; i >= 0; i--) this.#sink(i)
  }

  next(): Name | null {
    for (;;) {
      const top = this.#heap[0]
      const found = top?.current
      if (top === undefined || found === null || found === undefined) return null
      top.advance()
      if (top.current === null) this.#removeTop()
      this.#sink(0)
      // A folder that changes while it is listed may name an entry twice.
      if (this.#last !== null && this.#last.equals(found.name)) continue
      this.#last = found.name
      return found
    }
  }

  #removeTop(): void {
    const last = this.#heap.pop()
    if (last !== undefined && this.#heap.length > 0) this.#heap[0] = last
  }

  #sink(from: number): void {
    let at = from
    for (;;) {
      const child = this.#smaller(2 * at + 1, 2 * at + 2)
      const here = this.#heap[at]
      const below = this.#heap[child]
      if (here === undefined || below === undefined || !before(below, here)) return
      this.#heap[at] = below
      this.#heap[child] = here
      at = child
    }
  }

  #smaller(left: number, right: number): number {
    const a = this.#heap[left]
    const b = this.#heap[right]
    return a !== undefined && b !== undefined && before(b, a) ? right : left
  }
}

function before(a: RunReader, b: RunReader): boolean {
  if (a.current === null || b.current === null) return b.current === null
  return Buffer.compare(a.current.name, b.current.name) < 0
}
