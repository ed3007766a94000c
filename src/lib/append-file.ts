import { readFully, writeFully, type Disk } from './disk.ts'
import { lost } from './lost-file.ts'
import { BUFFER, Gathered } from './gathered.ts'
import { openCommitted } from './open-committed.ts'
import { WriteBehind } from './write-behind.ts'

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
  readonly #gathered = new Gathered()
  #dirty = false
  #sinceSync = 0
  #created = false
  #cut: number | null = null
  readonly #behind: WriteBehind

  private constructor(disk: Disk, path: string, fd: number | null, committed: number, mayWrite: () => void) {
    this.#disk = disk
    this.path = path
    this.#fd = fd
    this.#committed = committed
    this.#synced = committed
    this.#flushed = committed
    this.#mayWrite = mayWrite
    this.#behind = new WriteBehind(disk)
  }

  /**
   * Cuts the file to its committed length. WORK_FILE_LOST if it is shorter or gone. A file with
   * nothing committed is made anew, or created at its first flush. `mayWrite` throws once the job is no longer ours.
   */
  static open(disk: Disk, path: string, committed: number, mayWrite: () => void = () => {}): AppendFile {
    const { fd, created } = openCommitted(disk, path, committed, mayWrite)
    const file = new AppendFile(disk, path, fd, committed, mayWrite)
    file.#created = created
    return file
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
    return this.#cut ?? this.#flushed + this.#gathered.length
  }
  /** Whether a commit has to sync this file. */
  get dirty(): boolean {
    return this.#dirty || this.#cut !== null || this.#behind.busy || this.length !== this.#synced
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
    if (!this.#gathered.fits(bytes.length)) this.flush()
    this.#gathered.add(bytes)
  }

  /**
   * Appends, and may return before the bytes are written: they are lent until `done` is called. `settled` has to come
   * before anything but appending and `sync`. Where there is no `room`, it writes them itself.
   */
  writeBehind(bytes: Uint8Array, done: () => void): void {
    this.#usable()
    if (bytes.length >= BUFFER) {
      this.#flushBehind()
      return this.#putBehind(bytes, done)
    }
    if (!this.#gathered.fits(bytes.length)) this.#flushBehind()
    this.#gathered.add(bytes)
    done()
  }
  /** Null while there is room for more of `writeBehind`; else what to wait for before asking again. Never rejects. */
  get room(): Promise<void> | null {
    return this.#behind.room
  }
  /** Until nothing is under way in the background. Never rejects: the next call throws what went wrong. */
  settled(): Promise<void> {
    return this.#behind.settled()
  }

  /** Fills a hole: bytes reserved earlier, which nobody believes until the record closes them. */
  fill(at: number, bytes: Uint8Array): void {
    this.#usable()
    if (at + bytes.length > this.length) throw new RangeError(`fill beyond the end of ${this.path}`)
    if (at >= this.#flushed) return this.#gathered.put(bytes, at - this.#flushed)
    if (at + bytes.length > this.#flushed) this.flush()
    this.#quiet()
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
    this.#quiet()
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
    if (this.#behind.failure !== null) throw this.#behind.failure
    this.#put(this.#gathered.bytes)
    this.#gathered.clear()
  }

  /**
   * Flushes and syncs; the returned length is the one to record. Bytes written while it is under way
   * belong to the next commit. A failure here is final (law 10).
   */
  async sync(): Promise<number> {
    this.flush()
    const length = this.length
    await this.#behind.settled()
    if (this.#behind.failure !== null) throw this.#behind.failure
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
    this.#gathered.close()
    this.#behind.failure ??= new Error(`${this.path} is closed`)
    if (fd === null) return
    if (!this.#behind.busy) return this.#disk.close(fd)
    // What is under way must not find its number given to another file: it would write there.
    this.#behind
      .settled()
      .then(() => this.#disk.close(fd))
      .catch(() => 'the file is given up: nobody is left to be told')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#behind.settled()
    this.close()
  }

  #readable(at: number, length: number): number {
    this.#usable()
    if (at + length > this.#flushed) this.flush()
    this.#quiet()
    return Math.max(0, Math.min(length, this.#flushed - at))
  }
  #fill(bytes: Uint8Array, at: number): void {
    if (bytes.length === 0) return
    const got = readFully(this.#disk, this.#handle(), bytes, bytes.length, at)
    if (got < bytes.length) throw lost(this.path, at + bytes.length, at + got)
  }

  #usable(): void {
    if (this.#behind.failure !== null) throw this.#behind.failure
    if (this.#cut !== null) throw new Error(`${this.path} was rewound: commit before going on`)
  }

  /** A piece that is still being written must not be read, cut, or written over. */
  #quiet(): void {
    if (this.#behind.writing) throw new Error(`${this.path} is being written to: wait until it has settled`)
  }

  #put(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    this.#mayWrite()
    this.#guard(() => writeFully(this.#disk, this.#handle(), bytes, this.#flushed))
    this.#written(bytes.length)
  }

  #putBehind(bytes: Uint8Array, done: () => void): void {
    if (this.room !== null) {
      this.#put(bytes)
      return done()
    }
    this.#mayWrite()
    this.#guard(() => this.#behind.write(this.#handle(), bytes, this.#flushed, done))
    this.#written(bytes.length)
  }

  /** What was gathered goes to the background, memory and all. */
  #flushBehind(): void {
    if (this.#gathered.length === 0) return
    const { bytes, back } = this.#gathered.lend()
    this.#putBehind(bytes, back)
  }

  #written(length: number): void {
    this.#flushed += length
    this.#dirty = true
    this.#sinceSync += length
    if (this.#sinceSync < WRITEBACK || this.#behind.syncing) return
    this.#sinceSync = 0
    this.#behind.sync(this.#handle())
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
    this.#behind.failure ??= error
    throw error
  }
}
