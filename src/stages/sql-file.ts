import { BackupError } from '../lib/errors.ts'
import type { SqlBlock } from '../dump/sql-dump.ts'
import type { MadeBlock } from '../source/source.ts'

/** What a block holds of its section. */
const SQL = new WeakMap<MadeBlock, SqlBlock>()

/** Null where it holds the end of a file alone. */
export const sqlOf = (block: MadeBlock): SqlBlock | null => SQL.get(block) ?? null

/** Memory for the block that is read next, behind what stands there already. */
export class Lender {
  next: Buffer = Buffer.alloc(0)
  lend(): Buffer {
    return this.next
  }
}

export interface FileForm {
  /** Null: the file was begun by an earlier step. */
  readonly preamble: Buffer | null
  readonly postamble: Buffer
  /** Blocks it may still take, but for the last one. */
  readonly room: number
}

/** One file: what stands at its beginning, blocks of a section, what stands at its end. */
export class SqlFile {
  readonly #source: AsyncGenerator<SqlBlock, void, undefined>
  readonly #lender: Lender
  readonly #form: FileForm
  /** The section has ended, too. */
  ended = false
  failure: BackupError | null = null

  constructor(source: AsyncGenerator<SqlBlock, void, undefined>, lender: Lender, form: FileForm) {
    this.#source = source
    this.#lender = lender
    this.#form = form
  }

  async *blocks(lend: () => Buffer): AsyncGenerator<MadeBlock, void, undefined> {
    const { preamble, room } = this.#form
    let held: Held | null = null
    let memory = lend()
    let from = preamble?.copy(memory) ?? 0
    for (let taken = 0; taken < room || held?.block.safe === false; taken++) {
      this.#lender.next = memory.subarray(from)
      const block = await this.#next()
      if (block === null) break
      if (held !== null) yield whole(held)
      held = { memory, length: from + block.length, block }
      from = 0
      memory = lend()
      // One that is not filled up is the last of its section.
      if (held.length < held.memory.length && block.safe) {
        await this.#expectEnd()
        break
      }
    }
    yield* this.#end(held, { memory, from })
  }

  /** No safe point between the last block and the end of the file: it would have two ends. */
  *#end(held: Held | null, next: { memory: Buffer; from: number }): Generator<MadeBlock, void, undefined> {
    const { postamble } = this.#form
    if (held !== null && held.length + postamble.length <= held.memory.length) {
      held.length += postamble.copy(held.memory, held.length)
      const made = { memory: held.memory, length: held.length, safe: false }
      SQL.set(made, held.block)
      return yield made
    }
    if (held !== null) yield whole(held)
    const length = next.from + postamble.copy(next.memory, next.from)
    yield { memory: next.memory, length, safe: false }
  }

  async #expectEnd(): Promise<void> {
    if ((await this.#next()) !== null) throw new BackupError('INTERNAL', 'a block within a section is not full')
  }

  async #next(): Promise<SqlBlock | null> {
    try {
      const next = await this.#source.next()
      if (next.done !== true) return next.value
    } catch (error) {
      if (!(error instanceof BackupError)) throw error
      this.failure = error
    }
    this.ended = true
    return null
  }
}

interface Held {
  readonly memory: Buffer
  length: number
  readonly block: SqlBlock
}

/** A block that is not the last one of its file is filled up. */
function whole({ memory, length, block }: Held): MadeBlock {
  if (length < memory.length) memory.fill(' ', length, memory.length - 1).fill('\n', memory.length - 1)
  const made: MadeBlock = { memory, length: memory.length, safe: block.safe }
  SQL.set(made, block)
  return made
}
