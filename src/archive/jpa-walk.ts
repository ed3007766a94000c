import { displayName } from '../lib/entry-path.ts'
import { discarded } from '../lib/scavenge.ts'
import { readBlock, toEntry, type JpaEntry } from './jpa-entity.ts'
import { ENTITY_SIZE } from './jpa-records.ts'
import type { JpaHeader } from './jpa-header.ts'
import type { ByteSource } from './reader.ts'
import { damaged } from './zip-records.ts'

/** A remembered place every so many entries, so that starting late does not go through all before it. */
const MARK_EVERY = 1024
/** What the objects about one entry come to. Bytes. */
const ENTRY = 1 << 10
/** Data of this length is skipped without reading ahead behind it. Bytes. */
const FAR = 64 << 10

/** The entities of an archive as a stream: from header to header, whose lengths say where the next one lies. */
export class JpaWalk {
  readonly count: number
  readonly #source: ByteSource
  readonly #marks: number[]

  /** ARCHIVE_DAMAGED if no archive of this length can hold as many entries as the header says. */
  constructor(source: ByteSource, header: JpaHeader) {
    const start = header.at + header.length
    if (header.entries * (ENTITY_SIZE + 1) > source.size - start) {
      throw damaged(`an archive of ${source.size} bytes cannot hold the ${header.entries} entries its header counts`)
    }
    this.#source = source
    this.count = header.entries
    this.#marks = [start]
  }

  /** Entries in order from index `from`. ARCHIVE_DAMAGED unless the archive ends exactly behind the last one. */
  *entries(from = 0): Generator<JpaEntry, void, undefined> {
    const mark = Math.min(Math.floor(from / MARK_EVERY), this.#marks.length - 1)
    let position = this.#marks[mark] ?? 0
    let far = true
    for (let index = mark * MARK_EVERY; index < this.count; index++) {
      if (index % MARK_EVERY === 0) discarded(MARK_EVERY * ENTRY)
      if (index % MARK_EVERY === 0 && this.#marks.length === index / MARK_EVERY) this.#marks.push(position)
      const entry = this.#entry(position, index, far)
      if (index >= from) yield entry
      position += entry.blockLength + entry.stored
      far = entry.stored >= FAR
    }
    if (position === this.#source.size) return
    const more = this.#source.size - position
    throw damaged(`${more} bytes follow the last of the ${this.count} entries that the header counts`)
  }

  #entry(position: number, index: number, far: boolean): JpaEntry {
    const { size } = this.#source
    if (position === size) {
      const lost = 'it was cut off, or a part is missing'
      throw damaged(`the header counts ${this.count} entries, and ${index} are there: ${lost}`)
    }
    const block = readBlock(this.#source, position, far)
    if (typeof block === 'string') throw damaged(`entry ${index + 1} of ${this.count}: ${block}`)
    if (position + block.length + block.stored > size) {
      throw damaged(`entry ${displayName(block.path)}: its data is cut off`)
    }
    return toEntry(block, index, position)
  }
}
