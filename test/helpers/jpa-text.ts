import zlib from 'node:zlib'

/**
 * JPA as its description says, read and written without a line of the product: to hold its reader and writer
 * against. Reading goes part by part, as the vendor's extractors do; whatever is odd throws.
 */

export interface JpaEntity {
  readonly name: Buffer
  readonly type: number
  readonly compression: number
  readonly mode: number
  readonly time: number | null
  readonly data: Buffer
  readonly storedSize: number
  /** Part in which the block lies, and its length. */
  readonly part: number
  readonly blockLength: number
}

export interface JpaText {
  readonly version: string
  readonly entries: number
  readonly parts: number | null
  readonly entities: JpaEntity[]
}

class Run {
  part = 0
  at = 0
  readonly #parts: readonly Buffer[]
  constructor(parts: readonly Buffer[]) {
    this.#parts = parts
  }
  get ended(): boolean {
    return this.part >= this.#parts.length - 1 && this.at >= this.#here.length
  }
  get #here(): Buffer {
    return this.#parts[this.part] ?? Buffer.alloc(0)
  }
  #turn(): void {
    if (this.at < this.#here.length) return
    this.part++
    this.at = 0
    if (this.part >= this.#parts.length) throw new Error('the data goes on behind the last part')
  }
  /** Bytes that lie in one part. */
  whole(length: number): Buffer {
    if (this.at + length > this.#here.length) throw new Error(`${length} bytes are not whole in part ${this.part + 1}`)
    const bytes = this.#here.subarray(this.at, this.at + length)
    this.at += length
    return bytes
  }
  /** Bytes that may be cut. */
  cut(length: number): Buffer {
    const pieces: Buffer[] = []
    for (let left = length; left > 0;) {
      this.#turn()
      const piece = this.whole(Math.min(left, this.#here.length - this.at))
      pieces.push(piece)
      left -= piece.length
    }
    return Buffer.concat(pieces)
  }
  /** An entity begins here: in this part if anything is left of it. */
  entity(): void {
    this.#turn()
  }
}

const u64 = (b: Buffer, at: number): number => Number(b.readBigUInt64LE(at))

function check(what: string, found: number, expected: number): void {
  if (found !== expected) throw new Error(`${what}: ${found}, not ${expected}`)
}

/** The extras of an entity: id → payload. */
function extrasOf(bytes: Buffer): Map<number, Buffer> {
  const found = new Map<number, Buffer>()
  for (let at = 0; at < bytes.length;) {
    const length = bytes.readUInt16LE(at + 2)
    if (length < 4 || at + length > bytes.length) throw new Error('a broken extra field')
    found.set(bytes.readUInt16LE(at), bytes.subarray(at + 4, at + length))
    at += length
  }
  return found
}

function entityOf(run: Run): JpaEntity {
  run.entity()
  const { part } = run
  const head = run.whole(7)
  if (head.toString('latin1', 0, 3) !== 'JPF') throw new Error(`no entity at ${run.at - 7} of part ${part + 1}`)
  const blockLength = head.readUInt16LE(3)
  const rest = run.whole(blockLength - 7)
  const nameLength = head.readUInt16LE(5)
  const fixed = rest.subarray(nameLength, nameLength + 14)
  const extras = extrasOf(rest.subarray(nameLength + 14))
  const wide = extras.get(0x0200)
  const storedSize = wide === undefined ? fixed.readUInt32LE(2) : u64(wide, 0)
  const size = wide === undefined ? fixed.readUInt32LE(6) : u64(wide, 8)
  check('stored size, twice', fixed.readUInt32LE(2), storedSize % 2 ** 32)
  check('plain size, twice', fixed.readUInt32LE(6), size % 2 ** 32)
  const stored = run.cut(storedSize)
  const compression = fixed[1] ?? -1
  const data = compression === 1 ? zlib.inflateRawSync(stored) : stored
  check('plain size', data.length, size)
  return {
    name: rest.subarray(0, nameLength),
    type: fixed[0] ?? -1,
    compression,
    mode: fixed.readUInt32LE(10),
    time: extras.get(0x0100)?.readUInt32LE(0) ?? null,
    data,
    storedSize,
    part,
    blockLength,
  }
}

interface Header {
  readonly length: number
  readonly parts: number | null
  readonly totals: readonly [plain: number, stored: number] | null
}

function headerOf(first: Buffer): Header {
  if (first.toString('latin1', 0, 3) !== 'JPA') throw new Error('no JPA header')
  const length = first.readUInt16LE(3)
  let parts: number | null = null
  let totals: [number, number] | null = null
  for (let at = 19; at < length; at += 4 + first.readUInt16LE(at + 4)) {
    const signature = first.toString('hex', at, at + 4)
    if (signature === '4a500101') parts = first.readUInt16LE(at + 6)
    if (signature === '4a500102') totals = [u64(first, at + 6), u64(first, at + 14)]
  }
  return { length, parts, totals }
}

/** Everything in an archive; `parts` in order. */
export function readJpaText(parts: readonly Buffer[]): JpaText {
  const first = parts[0] ?? Buffer.alloc(0)
  const { length, parts: said, totals } = headerOf(first)
  const run = new Run(parts)
  run.whole(length)
  const entities: JpaEntity[] = []
  while (!run.ended) entities.push(entityOf(run))
  const plain = entities.reduce((sum, { data }) => sum + data.length, 0)
  const stored = entities.reduce((sum, { storedSize }) => sum + storedSize, 0)
  check('entries', first.readUInt32LE(7), entities.length)
  check('plain total', first.readUInt32LE(11), plain % 2 ** 32)
  check('stored total', first.readUInt32LE(15), stored % 2 ** 32)
  if (totals !== null) check('wide plain total', totals[0], plain)
  if (totals !== null) check('wide stored total', totals[1], stored)
  if (said !== null) check('parts', said, parts.length)
  return { version: `${first[5]}.${first[6]}`, entries: entities.length, parts: said, entities }
}

/** An entity to be written, field by field: what is absent is what it should be. */
export interface Spec {
  readonly name: string | Buffer
  readonly type?: number
  readonly compression?: number
  /** As it lies in the archive. */
  readonly data?: Buffer
  readonly size?: number
  readonly stored?: number
  readonly mode?: number
  readonly time?: number
  /** Default in 1.3: the sizes as 64 bits. */
  readonly extras?: Buffer
  readonly blockLength?: number
  readonly nameLength?: number
  readonly signature?: string
}

export function extra(id: number, payload: Buffer, length = payload.length + 4): Buffer {
  const head = Buffer.alloc(4)
  head.writeUInt16LE(id, 0)
  head.writeUInt16LE(length, 2)
  return Buffer.concat([head, payload])
}

export function wideSizes(stored: bigint, size: bigint): Buffer {
  const payload = Buffer.alloc(16)
  payload.writeBigUInt64LE(stored, 0)
  payload.writeBigUInt64LE(size, 8)
  return extra(0x0200, payload)
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value >>> 0, 0)
  return bytes
}

export function entityBytes(spec: Spec, minor = 3): Buffer {
  const name = Buffer.from(spec.name)
  const data = spec.data ?? Buffer.alloc(0)
  const stored = spec.stored ?? data.length
  const size = spec.size ?? (spec.compression === 1 ? zlib.inflateRawSync(data).length : data.length)
  const time = spec.time === undefined || minor < 2 ? Buffer.alloc(0) : extra(0x0100, u32(spec.time))
  const wide = minor < 3 ? Buffer.alloc(0) : wideSizes(BigInt(stored), BigInt(size))
  const extras = spec.extras ?? Buffer.concat([time, wide])
  const head = Buffer.alloc(7)
  head.write(spec.signature ?? 'JPF', 0, 'latin1')
  head.writeUInt16LE(spec.blockLength ?? 21 + name.length + extras.length, 3)
  head.writeUInt16LE(spec.nameLength ?? name.length, 5)
  const kind = Buffer.from([spec.type ?? 1, spec.compression ?? 0])
  const fixed = [u32(stored % 2 ** 32), u32(size % 2 ** 32), u32(spec.mode ?? 0o100644)]
  return Buffer.concat([head, name, kind, ...fixed, extras, data])
}

export interface Whole {
  readonly minor?: number
  readonly major?: number
  readonly entries?: number
  readonly plain?: number
  readonly stored?: number
  readonly parts?: number
  readonly wide?: boolean
  readonly length?: number
  readonly extras?: Buffer
  readonly signature?: string
}

export function headerBytes(specs: readonly Spec[], whole: Whole = {}): Buffer {
  const minor = whole.minor ?? 3
  const sizes = specs.map((spec) => {
    const data = spec.data ?? Buffer.alloc(0)
    const plain = spec.size ?? (spec.compression === 1 ? zlib.inflateRawSync(data).length : data.length)
    return { plain, stored: spec.stored ?? data.length }
  })
  const plain = whole.plain ?? sizes.reduce((sum, one) => sum + one.plain, 0)
  const stored = whole.stored ?? sizes.reduce((sum, one) => sum + one.stored, 0)
  const spanned = whole.parts === undefined ? '' : `4a500101 0400 ${Buffer.from([whole.parts, 0]).toString('hex')}`
  const totals = Buffer.alloc(22)
  totals.write('4a5001021200', 'hex')
  totals.writeBigUInt64LE(BigInt(plain), 6)
  totals.writeBigUInt64LE(BigInt(stored), 14)
  const wide = (whole.wide ?? minor >= 3) ? totals : Buffer.alloc(0)
  const extras = whole.extras ?? Buffer.concat([Buffer.from(spanned.replaceAll(' ', ''), 'hex'), wide])
  const head = Buffer.alloc(7)
  head.write(whole.signature ?? 'JPA', 0, 'latin1')
  head.writeUInt16LE(whole.length ?? 19 + extras.length, 3)
  head[5] = whole.major ?? 1
  head[6] = minor
  const fixed = [u32(whole.entries ?? specs.length), u32(plain % 2 ** 32), u32(stored % 2 ** 32)]
  return Buffer.concat([head, ...fixed, extras])
}

/** A whole archive in one piece. */
export function jpaBytes(specs: readonly Spec[], whole: Whole = {}): Buffer {
  return Buffer.concat([headerBytes(specs, whole), ...specs.map((spec) => entityBytes(spec, whole.minor ?? 3))])
}
