import { createHash, type Hash } from 'node:crypto'
import path from 'node:path'
import type { Clock } from '../lib/clock.ts'
import { readFully, writeFully, type Disk } from '../lib/disk.ts'
import { removeIfThere, syncFolder } from '../lib/durable-file.ts'
import { asBackupError, BackupError, errnoOf } from '../lib/errors.ts'
import type { ContentStore, Fetched, FetchOptions } from './backend/contents.ts'

/** What is to come, and from where. */
export interface Receiving {
  readonly contents: ContentStore
  readonly number: number
  readonly what: Fetched
  /** As the record has it; null: files in an archive are proven by whoever sends them. */
  readonly sha256: string | null
  readonly clock: Clock
  readonly signal: AbortSignal
}

const PIECE = 1 << 20
/** Tries in a row that brought nothing. */
const TRIES = 6

interface Sink {
  /** Bytes that are there. */
  readonly at: number
  restart(): void
  write(bytes: Uint8Array): void
}

/**
 * Fetches into `<target>.part`, goes on with one that is there, and gives it its name when it has proven to be what the
 * backup recorded. TARGET_EXISTS, VERIFY_FAILED, and what the server answers; what came stays for the next time.
 */
export async function receiveFile(disk: Disk, target: string, receiving: Receiving): Promise<number> {
  const part = `${target}.part`
  try {
    refuseExisting(disk, target)
    const size = await intoFile(disk, part, receiving)
    refuseExisting(disk, target)
    disk.rename(part, target)
    syncFolder(disk, path.dirname(target))
    return size
  } catch (error) {
    if (error instanceof BackupError && error.code === 'VERIFY_FAILED') removeIfThere(disk, part)
    throw errnoOf(error) === undefined ? error : asBackupError(error, `cannot write ${part}`, 'TARGET_UNWRITABLE')
  }
}

function refuseExisting(disk: Disk, target: string): void {
  try {
    disk.lstat(target)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return
    throw error
  }
  throw new BackupError('TARGET_EXISTS', `${target} is there already`, {
    hint: 'Move it away, or name another file with -o.',
  })
}

async function intoFile(disk: Disk, part: string, receiving: Receiving): Promise<number> {
  const fd = openPart(disk, part)
  try {
    const hash = new Progressing()
    // A file in an archive comes whole or not at all: its beginning proves nothing.
    if (receiving.sha256 === null) disk.truncate(fd, 0)
    else hashExisting(disk, fd, hash)
    const sink: Sink = {
      get at() {
        return hash.size
      },
      restart() {
        disk.truncate(fd, 0)
        hash.restart()
      },
      write(bytes) {
        writeFully(disk, fd, bytes, hash.size)
        hash.update(bytes)
      },
    }
    await receive(receiving, sink, hash)
    disk.datasync(fd)
    return hash.size
  } finally {
    disk.close(fd)
  }
}

function openPart(disk: Disk, part: string): number {
  try {
    return disk.open(part, 'create')
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error
    return disk.open(part, 'update')
  }
}

function hashExisting(disk: Disk, fd: number, hash: Progressing): void {
  const buffer = Buffer.allocUnsafeSlow(PIECE)
  for (;;) {
    const got = readFully(disk, fd, buffer, PIECE, hash.size)
    if (got === 0) return
    hash.update(buffer.subarray(0, got))
  }
}

/** To somebody who takes the bytes at once, from the beginning. */
export async function receiveStream(write: (bytes: Uint8Array) => void, receiving: Receiving): Promise<number> {
  const hash = new Progressing()
  const sink: Sink = {
    get at() {
      return hash.size
    },
    restart() {
      if (hash.size > 0) throw new BackupError('UNREACHABLE', 'the download broke off and cannot be gone on with')
    },
    write(bytes) {
      write(bytes)
      hash.update(bytes)
    },
  }
  await receive(receiving, sink, hash)
  return hash.size
}

/** A connection that breaks is taken up where it broke, as long as each brings something. */
async function receive(receiving: Receiving, sink: Sink, hash: Progressing): Promise<void> {
  for (let tries = 1; ; tries++) {
    const before = sink.at
    try {
      await attempt(receiving, sink)
      break
    } catch (error) {
      receiving.signal.throwIfAborted()
      if (!(error instanceof BackupError) || error.code !== 'UNREACHABLE') throw error
      if (sink.at > before) tries = 0
      if (tries >= TRIES) throw error
      await receiving.clock.sleep(500 * 2 ** tries, receiving.signal)
    }
  }
  const { sha256 } = receiving
  if (sha256 === null || hash.digest() === sha256) return
  throw new BackupError('VERIFY_FAILED', 'what came is not what the backup recorded', {
    hint: 'Download it again; if that comes to the same, verify the backup.',
  })
}

async function attempt({ contents, number, what, sha256, signal }: Receiving, sink: Sink): Promise<void> {
  const goOn: FetchOptions = sha256 === null || sink.at === 0 ? { signal } : { from: sink.at, sha256, signal }
  const download = await fetchOrRestart(
    () => contents.fetch(number, what, goOn),
    sink,
    () => contents.fetch(number, what, { signal }),
  )
  if (download === null) return
  if (download.from !== sink.at) sink.restart()
  for await (const piece of download.body) sink.write(piece)
}

type Fetching = ReturnType<ContentStore['fetch']>

/** More is there than there should be, or exactly all of it: then there is nothing to ask for. */
async function fetchOrRestart(
  first: () => Fetching,
  sink: Sink,
  again: () => Fetching,
): Promise<Awaited<Fetching> | null> {
  try {
    return await first()
  } catch (error) {
    if (sink.at === 0 || !(error instanceof BackupError) || error.code !== 'BAD_REQUEST') throw error
    sink.restart()
    return again()
  }
}

/** A SHA-256 over what has come so far. */
class Progressing {
  size = 0
  #hash: Hash = createHash('sha256')

  update(bytes: Uint8Array): void {
    this.#hash.update(bytes)
    this.size += bytes.length
  }
  restart(): void {
    this.size = 0
    this.#hash = createHash('sha256')
  }
  digest(): string {
    return this.#hash.copy().digest('hex')
  }
}
