import { errnoOf } from './errors.ts'
import { removeIfThere } from './durable-file.ts'
import { readFully, writeFully, type Disk } from './disk.ts'
import { lost } from './lost-file.ts'
import { release } from './release.ts'

/** What is gathered before it is written, at most, and at first: most work files are short lists. */
const BUFFER = 1 << 20
const FIRST_BUFFER = 64 << 10
/** Unsynced bytes after which writeback is begun in the background, so that a commit finds little left. */
const WRITEBACK = 16 << 20

/**
 * An append-only file of which only the first `committed` bytes count. Opening cuts away whatever a
 * killed process left behind that length; `sync` makes the present length durable, and the record
 * then names it. Nothing here is a commit: until the record says so, the bytes never happened.
 */
export class AppendFile implements AsyncDisposable {
  readonly path: string
  readonly #disk: Disk
  readonly #mayWrite: () => void
  #fd: number | null
  #committed: number
  /** What `sync` returned last: the length the record will hold. */
  #synced: number
  #flushed: number
  #buffer: Buffer | null = null
  #buffered = 0
  #dirty = false
  #sinceSync = 0
  #created = false
  #cut: number | null = null
  /** Never rejects: what went wrong is in `#failure`. */
  #writeback: Promise<void> | null = null
  #failure: unknown = null

  private constructor(disk: Disk, path: string, fd: number | null, committed: number, mayWrite: () => void) {
    this.#disk = disk
    this.path = path
    this.#fd = fd
    this.#committed = committed
    this.#synced = committed
    this.#flushed = committed
    this.#mayWrite = mayWrite
  }

  /**
   * Cuts the file to its committed length. WORK_FILE_LOST if it is shorter or gone. A file with
   * nothing committed is made anew, or created at its first flush. `mayWrite` throws once the job is no longer ours.
   */
  static open(disk: Disk, path: string, committed: number, mayWrite: () => void = () => {}): AppendFile {
    let fd: number | null = null
    try {
      fd = disk.open(path, 'update')
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error
    }
    if (fd === null) {
      if (committed > 0) throw lost(path, committed, null)
      return new AppendFile(disk, path, null, 0, mayWrite)
    }
    if (committed === 0) {
      // Not cut but made anew: a late owner may still hold the file that lies here, and write to it.
      disk.close(fd)
      mayWrite()
      removeIfThere(disk, path)
      const file = new AppendFile(disk, path, disk.open(path, 'create'), 0, mayWrite)
      file.#created = true
      return file
    }
    try {
      const size = disk.fstat(fd).size
      if (size < committed) throw lost(path, committed, size)
      if (size > committed) {
        mayWrite()
        disk.truncate(fd, committed)
      }
    } catch (error) {
      disk.close(fd)
      throw error
    }
    return new AppendFile(disk, path, fd, committed, mayWrite)
  }

  /** A whole file that somebody else has written: nothing of it is committed yet. Throws the system's error. */
  static adopt(disk: Disk, path: string, mayWrite: () => void = () => {}): AppendFile {
    const { size } = disk.lstat(path)
    const file = new AppendFile(disk, path, disk.open(path, 'update'), 0, mayWrite)
    file.#created = file.#dirty = true
    file.#flushed = size
    return file
  }

  /** The length with what is still buffered. */
  get length(): number {
    return this.#cut ?? this.#flushed + this.#buffered
  }
  /** Whether a commit has to sync this file. */
  get dirty(): boolean {
    return this.#dirty || this.#cut !== null || this.#writeback !== null || this.length !== this.#synced
  }
  /** Whether its name is new in its folder since the last commit. */
  get created(): boolean {
    return this.#created
  }

  /** Appends. The bytes are copied or written before this returns; the caller may reuse them. */
  write(bytes: Uint8Array): void {
    this.#usable()
    if (bytes.length >= BUFFER) {
      this.flush()
      this.#put(bytes)
      return
    }
    if (this.#buffered + bytes.length > BUFFER) this.flush()
    this.#room(this.#buffered + bytes.length).set(bytes, this.#buffered)
    this.#buffered += bytes.length
  }

  /** Fills a hole: bytes reserved earlier, which nobody believes until the record closes them. */
  fill(at: number, bytes: Uint8Array): void {
    this.#usable()
    if (at + bytes.length > this.length) throw new RangeError(`fill beyond the end of ${this.path}`)
    if (at >= this.#flushed && this.#buffer !== null) {
      this.#buffer.set(bytes, at - this.#flushed)
      return
    }
    if (at + bytes.length > this.#flushed) this.flush()
    this.#mayWrite()
    this.#guard(() => writeFully(this.#disk, this.#handle(), bytes, at))
    this.#dirty = true
  }

  /**
   * Goes back to an earlier length. Bytes that no record names are cut at once; committed ones are
   * cut only after the shorter length is recorded: the caller yields a barrier next, and until then
   * the file takes no writes.
   */
  rewind(length: number): void {
    this.#usable()
    if (length > this.length) throw new RangeError(`rewind beyond the end of ${this.path}`)
    this.flush()
    if (length < this.#committed) {
      this.#cut = length
      return
    }
    if (this.#fd !== null && length < this.#flushed) {
      this.#mayWrite()
      this.#guard(() => this.#disk.truncate(this.#handle(), length))
      this.#dirty = true
    }
    this.#flushed = length
  }

  /** Up to `length` bytes at `at`, buffered ones included. */
  read(at: number, length: number): Buffer {
    const bytes = Buffer.allocUnsafe(this.#readable(at, length))
    this.#fill(bytes, at)
    return bytes
  }

  /** The same into memory of the caller's; returns how many bytes. */
  readInto(into: Uint8Array, at: number, length: number): number {
    const bytes = into.subarray(0, this.#readable(at, length))
    this.#fill(bytes, at)
    return bytes.length
  }

  /** Hands buffered bytes to the system; not durable. */
  flush(): void {
    if (this.#failure !== null) throw this.#failure
    if (this.#buffered === 0 || this.#buffer === null) return
    const bytes = this.#buffer.subarray(0, this.#buffered)
    this.#put(bytes)
    this.#buffered = 0
  }

  /**
   * Flushes and syncs; the returned length is the one to record. Bytes written while it is under way
   * belong to the next commit. A failure here is final (law 10).
   */
  async sync(): Promise<number> {
    this.flush()
    const length = this.length
    if (this.#writeback !== null) await this.#writeback
    if (this.#failure !== null) throw this.#failure
    if (this.#dirty && this.#fd !== null) {
      this.#dirty = false
      this.#sinceSync = 0
      await this.#disk.datasyncAsync(this.#fd).catch((error: unknown) => this.#fail(error))
    }
    this.#synced = length
    return length
  }

  /** To be called once the record holds the length that `sync` returned. */
  committed(): void {
    if (this.#cut !== null) {
      const length = this.#cut
      this.#cut = null
      this.#mayWrite()
      this.#guard(() => this.#disk.truncate(this.#handle(), length))
      this.#flushed = length
      this.#dirty = true
    }
    this.#committed = this.#synced
    this.#created = false
  }

  /** Closes without writing: what is buffered was never promised. */
  close(): void {
    const fd = this.#fd
    this.#fd = null
    if (this.#buffer !== null) release(this.#buffer)
    this.#buffer = null
    this.#failure ??= new Error(`${this.path} is closed`)
    if (fd === null) return
    if (this.#writeback === null) return this.#disk.close(fd)
    // A sync under way must not find its number given to another file, whose errors it would swallow.
    this.#writeback.then(() => this.#disk.close(fd)).catch(() => 'the file is given up: nobody is left to be told')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writeback
    this.close()
  }

  #readable(at: number, length: number): number {
    this.#usable()
    if (at + length > this.#flushed) this.flush()
    return Math.max(0, Math.min(length, this.#flushed - at))
  }
  #fill(bytes: Uint8Array, at: number): void {
    if (bytes.length === 0) return
    const got = readFully(this.#disk, this.#handle(), bytes, bytes.length, at)
    if (got < bytes.length) throw lost(this.path, at + bytes.length, at + got)
  }

  /** The buffer, with room for `length` bytes. */
  #room(length: number): Buffer {
    const present = this.#buffer
    if (present !== null && present.length >= length) return present
    let size = present?.length ?? FIRST_BUFFER
    while (size < length) size *= 4
    const larger = Buffer.allocUnsafeSlow(size)
    if (present !== null) {
      larger.set(present.subarray(0, this.#buffered))
      release(present)
    }
    this.#buffer = larger
    return larger
  }

  #usable(): void {
    if (this.#failure !== null) throw this.#failure
    if (this.#cut !== null) throw new Error(`${this.path} was rewound: commit before going on`)
  }

  #put(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    this.#mayWrite()
    this.#guard(() => writeFully(this.#disk, this.#handle(), bytes, this.#flushed))
    this.#flushed += bytes.length
    this.#dirty = true
    this.#sinceSync += bytes.length
    if (this.#sinceSync >= WRITEBACK && this.#writeback === null) this.#beginWriteback()
  }

  #beginWriteback(): void {
    this.#sinceSync = 0
    this.#writeback = this.#disk.datasyncAsync(this.#handle()).then(
      () => void (this.#writeback = null),
      (error: unknown) => {
        this.#writeback = null
        this.#failure ??= error // remembered: the next call on this file throws it
      },
    )
  }

  #handle(): number {
    if (this.#fd === null) {
      this.#fd = this.#disk.open(this.path, 'create')
      this.#created = true
    }
    return this.#fd
  }

  #guard(work: () => void): void {
    try {
      work()
    } catch (error) {
      this.#fail(error)
    }
  }

  #fail(error: unknown): never {
    this.#failure ??= error
    throw error
  }
}
