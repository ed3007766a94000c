/** Little-endian header writing: all three archive formats use nothing else. */
export class ByteWriter {
  readonly #parts: Buffer[] = []

  u8(value: number): this {
    return this.#push(1, (b) => b.writeUInt8(value))
  }
  u16(value: number): this {
    return this.#push(2, (b) => b.writeUInt16LE(value))
  }
  u32(value: number): this {
    return this.#push(4, (b) => b.writeUInt32LE(value))
  }
  /** `value` up to 2^53. */
  u64(value: number): this {
    return this.#push(8, (b) => b.writeBigUInt64LE(BigInt(value)))
  }
  raw(bytes: Uint8Array): this {
    this.#parts.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
    return this
  }
  done(): Buffer {
    return Buffer.concat(this.#parts)
  }
  #push(size: number, write: (b: Buffer) => void): this {
    const b = Buffer.alloc(size)
    write(b)
    this.#parts.push(b)
    return this
  }
}
