/**
 * What reading back needs of an archive whose format holds no checksum: per entry, in the archive's order,
 * the CRC-32 of its header and of its plain content. The list never leaves the job.
 */
export const PROOFS = 'proofs'

export interface Proof {
  readonly head: number
  readonly content: number
}

const SIZE = 8
const CHUNK = 64 << 10

export function encodeProof(head: number, content: number): Buffer {
  const bytes = Buffer.allocUnsafe(SIZE)
  bytes.writeUInt32LE(head, 0)
  bytes.writeUInt32LE(content, 4)
  return bytes
}

/** The list, read in order: one piece of it in memory. */
export class ProofList {
  readonly #file: { readonly length: number; read(at: number, length: number): Buffer }
  #from = 0
  #bytes: Buffer = Buffer.alloc(0)

  constructor(file: { readonly length: number; read(at: number, length: number): Buffer }) {
    this.#file = file
  }

  get count(): number {
    return this.#file.length / SIZE
  }

  /** Null beyond the list's end. */
  at(index: number): Proof | null {
    const at = index * SIZE
    if (at + SIZE > this.#file.length) return null
    if (at < this.#from || at + SIZE > this.#from + this.#bytes.length) {
      this.#bytes = this.#file.read(at, Math.min(CHUNK, this.#file.length - at))
      this.#from = at
    }
    const within = at - this.#from
    return { head: this.#bytes.readUInt32LE(within), content: this.#bytes.readUInt32LE(within + 4) }
  }
}
