import type { SqlBlock } from '../sql-dump.ts'
import { hostile, SqlScanner } from './sql-scanner.ts'

const SPACE = 0x20
const NEWLINE = 0x0a

export interface SqlBlocksOptions {
  readonly lend: () => Buffer
  /** Whether a statement, the last one of this text, is left out. */
  readonly leaveOut?: (text: Buffer) => boolean
}

/**
 * SQL text of somebody else's in blocks that end where a statement does, as far as statements are shorter than a block.
 *
 * It is read by the vendor's client, for which a backslash outside of quotes begins a command of its own, which may run
 * programs: no definition holds one, and one that does is refused (S-RES-6). pg_dump's own `\restrict`, which forbids
 * such commands, is taken out: it would forbid the order file to load the next file.
 */
export class SqlBlocks {
  readonly #o: SqlBlocksOptions
  readonly #scanner = new SqlScanner()
  #memory: Buffer | null = null
  #used = 0
  /** Behind the last whole statement of this block. */
  #whole = 0
  /** What the next block begins with. */
  #rest = Buffer.alloc(0)

  constructor(options: SqlBlocksOptions) {
    this.#o = options
  }

  /** Takes the next bytes in. */
  *add(chunk: Buffer): Generator<SqlBlock, void, undefined> {
    let from = 0
    for (let at = 0; at < chunk.length; at++) {
      const found = this.#scanner.next(chunk[at] ?? 0)
      if (found === null) continue
      if (found === 'statement') {
        yield* this.#append(chunk, from, at + 1)
        this.#statement()
      } else if (found === 'command') yield* this.#append(chunk, from, at)
      from = at + 1
    }
    if (!this.#scanner.inCommand) yield* this.#append(chunk, from, chunk.length)
  }

  /** What is left at the end. */
  end(): SqlBlock | null {
    if (!this.#scanner.quiet) throw hostile('end in the middle of something')
    if (this.#memory === null && this.#rest.length === 0) return null
    const memory = this.#lent()
    this.#statement()
    this.#memory = null
    return this.#used === 0 ? null : { memory, length: this.#used, safe: true, mark: null, rows: 0 }
  }

  #statement(): void {
    if (this.#o.leaveOut?.(this.#lent().subarray(this.#whole, this.#used)) === true) this.#used = this.#whole
    this.#whole = this.#used
  }

  *#append(chunk: Buffer, start: number, end: number): Generator<SqlBlock, void, undefined> {
    for (let from = start; from < end;) {
      const memory = this.#lent()
      if (this.#used === memory.length) {
        yield this.#full(memory)
        continue
      }
      const until = Math.min(end, from + memory.length - this.#used)
      this.#used += chunk.copy(memory, this.#used, from, until)
      from = until
    }
  }

  #lent(): Buffer {
    if (this.#memory !== null) return this.#memory
    this.#memory = this.#o.lend()
    this.#used = this.#rest.copy(this.#memory)
    this.#whole = 0
    return this.#memory
  }

  /** The block goes; what of it is no whole statement yet begins the next one. */
  #full(memory: Buffer): SqlBlock {
    const size = memory.length
    const safe = this.#whole > 0
    this.#rest = Buffer.from(memory.subarray(safe ? this.#whole : size, size))
    if (this.#rest.length > 0) {
      memory.fill(SPACE, this.#whole, size - 1)
      memory[size - 1] = NEWLINE
    }
    this.#memory = null
    return { memory, length: size, safe, mark: null, rows: 0 }
  }
}
