import fs from 'node:fs'
import path from 'node:path'

/** What ends the whole run: exit code 1, or 2 when the command line is to blame. */
export class Fatal extends Error {
  readonly code: number

  constructor(message: string, code = 1) {
    super(message)
    this.code = code
  }
}

const WINDOW = 512 << 10

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
    const wanted = Math.max(0, Math.min(this.#window.length, this.size - position))
    this.#filled = this.readInto(this.#window.subarray(0, wanted), position)
    this.#windowAt = position
    return this.#window.subarray(0, Math.min(length, this.#filled))
  }

  close(): void {
    for (const { fd } of this.#parts) fs.closeSync(fd)
  }
}

/** All parts of the archive that `named` is one of, in order: `x.z01 … x.zip`, `x.j01 … x.jpa`. */
export function partsOf(named: string): string[] {
  const match = /^(.*)\.(zip|jpa|z\d\d+|j\d\d+)$/i.exec(path.resolve(named))
  const [, base = '', ending = ''] = match ?? []
  if (match === null) throw new Fatal(`${named} is not called like an archive (.zip, .jpa, or a part of one)`, 2)
  const letter = ending.charAt(0)
  const last = `${base}.${partEnding(ending)}`
  if (!fs.existsSync(last)) throw new Fatal(`${last}, the archive's last part, does not exist`)
  if (isAlone(last)) return [last] // a part of some other archive may lie beside it
  const parts: string[] = []
  for (let number = 1; ; number++) {
    const part = `${base}.${letter}${String(number).padStart(2, '0')}`
    if (!fs.existsSync(part)) return [...parts, last]
    parts.push(part)
  }
}

/** Whether the last part says that it is the only one: a whole JPA header, or a ZIP end record of the first part. */
function isAlone(last: string): boolean {
  const file = new Joined([last])
  try {
    const head = file.read(0, 19)
    if (head.toString('latin1', 0, 3) === 'JPA') return true
    const tail = file.read(Math.max(0, file.size - 22), 22)
    return tail.length === 22 && tail.readUInt32LE(0) === 0x06054b50 && tail.readUInt16LE(4) === 0
  } finally {
    file.close()
  }
}

function partEnding(ending: string): string {
  const upper = ending === ending.toUpperCase() && /[A-Z]/.test(ending)
  const last = /^z/i.test(ending) ? 'zip' : 'jpa'
  return upper ? last.toUpperCase() : last
}
