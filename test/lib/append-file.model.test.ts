import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AppendFile } from '../../src/lib/append-file.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import { seeded } from '../helpers/random.ts'

type Operation =
  | { do: 'write'; length: number }
  | { do: 'fill'; at: number; length: number }
  | { do: 'rewind'; to: number }
  | { do: 'read'; at: number; length: number }
  | { do: 'flush' }
  | { do: 'commit' }
  | { do: 'crash'; power: number | null }

const share = fc.double({ min: 0, max: 1, noNaN: true })
const length = fc.oneof(
  { weight: 8, arbitrary: fc.nat(20) },
  { weight: 1, arbitrary: fc.integer({ min: 4000, max: 9000 }) },
)
const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('write' as const), length }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('fill' as const), at: share, length: fc.nat(12) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('rewind' as const), to: share }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('read' as const), at: share, length: fc.nat(50) }) },
  { weight: 2, arbitrary: fc.constant({ do: 'flush' as const }) },
  { weight: 3, arbitrary: fc.constant({ do: 'commit' as const }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('crash' as const), power: fc.option(fc.nat(1_000_000)) }) },
)

/** What the file should be: the bytes as its user sees them, and as the last record names them. */
class Model {
  disk = new MemoryDisk()
  file = AppendFile.open(this.disk, '/w', 0)
  now: Buffer = Buffer.alloc(0)
  recorded: Buffer = Buffer.alloc(0)
  /**
   * What else may be found in holes of the recorded part: bytes filled in that no commit of the same
   * process covered. Whoever closes a hole fills it anew, so nobody relies on them.
   */
  doubtful = new Map<number, Set<number>>()
  /** Positions filled by this process since its last commit. */
  filled = new Set<number>()
  #next = 0

  /** Bytes that tell where they come from. */
  #fresh(count: number): Buffer {
    return Buffer.from(Array.from({ length: count }, () => (this.#next = (this.#next + 1) % 251)))
  }

  async perform(op: Operation): Promise<void> {
    switch (op.do) {
      case 'write':
        return this.#write(op.length)
      case 'fill':
        return this.#fill(Math.floor(op.at * this.now.length), op.length)
      case 'rewind':
        return this.#rewind(Math.floor(op.to * this.now.length))
      case 'read': {
        const at = Math.floor(op.at * this.now.length)
        return expect(this.file.read(at, op.length)).toEqual(this.now.subarray(at, at + op.length))
      }
      case 'flush':
        return this.file.flush()
      case 'commit':
        return this.commit()
      case 'crash':
        return this.crash(op.power)
    }
  }

  #write(count: number): void {
    const bytes = this.#fresh(count)
    this.file.write(bytes)
    this.now = Buffer.concat([this.now, bytes])
  }

  #fill(at: number, wanted: number): void {
    const bytes = this.#fresh(Math.min(wanted, this.now.length - at))
    this.file.fill(at, bytes)
    this.now = Buffer.from(this.now)
    this.now.set(bytes, at)
    for (const [i, byte] of bytes.entries()) {
      if (at + i >= this.recorded.length) continue
      this.filled.add(at + i)
      this.#doubt(at + i, byte)
    }
  }

  #doubt(at: number, byte: number): void {
    this.doubtful.set(at, (this.doubtful.get(at) ?? new Set<number>()).add(byte))
  }

  async #rewind(to: number): Promise<void> {
    const barrier = to < this.recorded.length
    this.file.rewind(to)
    this.now = this.now.subarray(0, to)
    if (barrier) await this.commit()
  }

  /** As the engine does it: sync the file, its folder if the name is new, then the record. */
  async commit(): Promise<void> {
    const recorded = this.file.dirty ? await this.file.sync() : this.file.length
    if (this.file.created) {
      const folder = this.disk.open('/', 'dir')
      this.disk.fsync(folder)
      this.disk.close(folder)
    }
    expect(recorded).toBe(this.now.length)
    this.recorded = this.now
    for (const at of this.doubtful.keys()) {
      if (this.filled.has(at) || at >= recorded) this.doubtful.delete(at)
    }
    this.filled.clear()
    this.file.committed()
  }

  crash(power: number | null): void {
    this.disk = power === null ? this.disk.kill() : this.disk.powerCut(seeded(power))
    this.file = AppendFile.open(this.disk, '/w', this.recorded.length)
    expect(this.file.length).toBe(this.recorded.length)
    const found = this.file.read(0, this.recorded.length)
    for (const [i, byte] of found.entries()) {
      const recorded = this.recorded[i] ?? -1
      if (byte === recorded) continue
      if (!this.doubtful.get(i)?.has(byte))
        throw new Error(`byte ${i} is ${byte}, not ${recorded}, nor filled in since`)
      this.#doubt(i, recorded)
    }
    this.now = found
    this.recorded = found
    this.filled.clear()
  }
}

describe('append-file against a model', () => {
  it('shows what was written, and after any crash exactly what was recorded', async () => {
    const property = fc.asyncProperty(fc.array(operation, { maxLength: 60 }), async (operations) => {
      const model = new Model()
      for (const op of operations) await model.perform(op)
      await model.commit()
      expect(model.file.read(0, model.now.length)).toEqual(model.now)
      model.crash(0)
    })
    await fc.assert(property, { numRuns: 400 })
  })
})
