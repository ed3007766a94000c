import { BackupError } from '../../src/lib/errors.ts'
import type { Consistency, Lack, RowMark, Section, SqlBlock, SqlDump } from '../../src/dump/sql-dump.ts'
import { textBlocks } from '../../src/dump/text-blocks.ts'

export interface FakeTable {
  readonly rows: readonly number[]
  readonly keyed: boolean
  /** What its definition says. */
  definition: string
  /** Bytes per row, by its number. */
  readonly length: (row: number) => number
}

/** A server with tables of numbered rows, whose connections fail when they are told to. */
export class FakeServer {
  readonly tables = new Map<string, FakeTable>()
  /** Connections opened, and blocks and shapes read, over all of them. */
  opened = 0
  closed = 0
  blocks = 0
  readonly wishes: Consistency[] = []
  /** Called before each block: throws what the connection would. */
  beforeBlock: (block: number, table: string | null) => void = () => {}
  beforeOpen: () => void = () => {}
  beforeShape: () => void = () => {}

  table(name: string, more: Partial<FakeTable> & { count: number }): this {
    const rows = Array.from({ length: more.count }, (_, i) => i + 1)
    this.tables.set(name, { rows, keyed: true, definition: `create ${name}`, length: () => 100_000, ...more })
    return this
  }

  async open(consistency: Consistency): Promise<SqlDump> {
    this.beforeOpen()
    this.opened++
    this.wishes.push(consistency)
    return new FakeDump(this, consistency)
  }
}

class FakeDump implements SqlDump {
  readonly server = 'Fake 1.0'
  readonly consistency: Consistency
  readonly exceptions: readonly Lack[] = []
  readonly preamble = 'begin;\n'
  readonly postamble = 'end;\n'
  readonly #server: FakeServer
  #lacks: Lack[] = []
  #closed = false

  constructor(server: FakeServer, consistency: Consistency) {
    this.#server = server
    this.consistency = consistency
  }

  async sections(): Promise<readonly Section[]> {
    const after: Section = {
      id: 'after',
      kind: 'definitions',
      unit: 'after',
      table: null,
      estimate: 0,
      bytes: 0,
      resumable: false,
    }
    return [...[...this.#server.tables].flatMap(([name, table]) => sectionsOf(name, table)), after]
  }
  takeLacks(): readonly Lack[] {
    return this.#lacks.splice(0)
  }
  async shape(unit: string): Promise<string> {
    this.#check()
    if (unit === 'after') return ''
    this.#server.beforeShape()
    return this.#server.tables.get(unit.slice('table:'.length))?.definition ?? 'gone'
  }
  orderFile(files: readonly string[]): string {
    return files.map((file) => `load ${file}\n`).join('')
  }

  async *read(section: Section, after: RowMark | null, lend: () => Buffer): AsyncGenerator<SqlBlock, void, undefined> {
    this.#check()
    if (section.kind === 'definitions') {
      const table = this.#server.tables.get(section.table ?? '')
      if (section.table === null) this.#lacks.push({ kind: 'trigger', name: 'hidden', why: 'nobody may see it' })
      for await (const block of textBlocks([`${table?.definition ?? 'views'};\n`], lend)) yield this.#given(block, null)
      return
    }
    yield* this.#rows(section.table ?? '', after, lend)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#closed) this.#server.closed++
    this.#closed = true
  }

  async *#rows(name: string, after: RowMark | null, lend: () => Buffer): AsyncGenerator<SqlBlock, void, undefined> {
    const table = this.#server.tables.get(name)
    if (table === undefined) throw new BackupError('SOURCE_CHANGED', `${name} is gone`)
    const from = after === null ? 0 : Number(after[0])
    let text = ''
    let rows = 0
    let last = 0
    let memory = lend()
    const block = (length: number, safe: boolean): SqlBlock => {
      const mark = safe && table.keyed ? [String(last)] : null
      return this.#given({ memory, length, safe, mark, rows }, name)
    }
    for (const row of table.rows) {
      if (row <= from) continue
      const line = `row ${name} ${row} ${'x'.repeat(table.length(row))};\n`
      if (text.length + line.length > memory.length && text !== '') {
        yield block(fill(memory, text), true)
        memory = lend()
        text = ''
        rows = 0
      }
      for (let at = 0; at < line.length; at += memory.length) {
        if (line.length - at <= memory.length) {
          text += line.slice(at)
          break
        }
        memory.write(line.slice(at, at + memory.length), 'latin1')
        yield block(memory.length, false)
        memory = lend()
      }
      rows++
      last = row
    }
    if (text === '') return
    memory.write(text, 'latin1')
    yield block(text.length, true)
  }

  #given(block: SqlBlock, table: string | null): SqlBlock {
    this.#check()
    this.#server.beforeBlock(++this.#server.blocks, table)
    return block
  }
  #check(): void {
    if (this.#closed) throw new BackupError('UNREACHABLE', 'the connection was closed')
  }
}

function fill(memory: Buffer, text: string): number {
  memory.fill(' ', memory.write(text, 'latin1'))
  return memory.length
}

function sectionsOf(name: string, { keyed, rows }: FakeTable): Section[] {
  const common = { unit: `table:${name}`, table: name }
  return [
    { id: `table:${name}`, kind: 'definitions', estimate: 0, bytes: 0, resumable: false, ...common },
    { id: `rows:${name}`, kind: 'rows', estimate: rows.length, bytes: 0, resumable: keyed, ...common },
  ]
}

/** The rows of a table in a text, in order. */
export function rowsIn(text: string, table: string): number[] {
  return [...text.matchAll(/^ *row (\S+) (\d+) x*;$/gm)]
    .filter(([, of]) => of === table)
    .map(([, , row]) => Number(row))
}
