import fs from 'node:fs'

/** What ends the whole run: exit code 1, or 2 when the command line is to blame. */
export class Fatal extends Error {
  readonly code: number

  constructor(message: string, code = 1) {
    super(message)
    this.code = code
  }
}

/** The archive's frame is damaged, without which nothing in it is found from here. */
export const broken = (what: string): Fatal =>
  new Fatal(`${what}\nRatchet gives back what is intact: ratchet restore ARCHIVE --to FOLDER --salvage`)

const WINDOW = 512 << 10
/** Read at a place that is not near the last one: often it is only a header. */
const ALONE = 4 << 10
/** Bytes between two places of which the second is read because the first one was. */
const NEAR = 64 << 10

interface OnePart {
  readonly file: string
  readonly fd: number
  /** Global offset of its first byte. */
  readonly from: number
  readonly size: number
}

/** The parts of an archive joined into one run of bytes. Read only by position, so that each thread may hold its own. */
export class Joined {
  readonly files: readonly string[]
  readonly size: number
  readonly starts: readonly number[]
  readonly #parts: OnePart[] = []
  /** Memory for `peek`, used again and again; how much of it is filled, and from where. */
  #window: Buffer = Buffer.alloc(0)
  #filled = 0
  #windowAt = 0

  constructor(files: readonly string[]) {
    this.files = files
    let from = 0
    for (const file of files) {
      const fd = fs.openSync(file, 'r')
      const { size } = fs.fstatSync(fd)
      this.#parts.push({ file, fd, from, size })
      from += size
    }
    this.size = from
    this.starts = this.#parts.map((part) => part.from)
  }

  /** Fills `into` from `position` on; returns how many bytes there were. */
  readInto(into: Buffer, position: number): number {
    let done = 0
    for (const part of this.#parts) {
      while (done < into.length && position + done >= part.from && position + done < part.from + part.size) {
        const got = fs.readSync(part.fd, into, done, into.length - done, position + done - part.from)
        if (got === 0) throw new Fatal(`${part.file} became shorter while it was read`)
        done += got
      }
    }
    return done
  }

  read(position: number, length: number): Buffer {
    const wanted = Math.max(0, Math.min(length, this.size - position))
    const bytes = Buffer.allocUnsafe(wanted)
    return bytes.subarray(0, this.readInto(bytes, position))
  }

  /** As `read`, from a window that is read ahead: for many small pieces one behind the other. Valid until the next call. */
  peek(position: number, length: number): Buffer {
    const at = position - this.#windowAt
    if (at >= 0 && at + length <= this.#filled) return this.#window.subarray(at, at + length)
    if (this.#window.length < Math.max(length, WINDOW)) this.#window = Buffer.allocUnsafeSlow(Math.max(length, WINDOW))
    const goesOn = at >= 0 && at <= this.#filled + NEAR
    const most = goesOn ? this.#window.length : Math.max(length, ALONE)
    const wanted = Math.max(0, Math.min(most, this.size - position))
    this.#filled = this.readInto(this.#window.subarray(0, wanted), position)
    this.#windowAt = position
    return this.#window.subarray(0, Math.min(length, this.#filled))
  }

  close(): void {
    for (const { fd } of this.#parts) fs.closeSync(fd)
  }
}
