import fs from 'node:fs'
import path from 'node:path'
import { Damage, unpack } from './content.ts'
import type { Item } from './entry.ts'
import { codeOf } from './faults.ts'
import type { Joined } from './parts.ts'
import { Proof } from './proof.ts'

/** Folder in the target with what is not in place yet. Its presence says that a restore was interrupted. */
export const WORK_FOLDER = '.ratchet-restore'
const ZEROS = Buffer.alloc(256 << 10)
/** A run of zeros of at least this is left as a hole. Bytes. */
const HOLE_FROM = 64 << 10
/** Folders of which a thread remembers that they are there. */
const REMEMBERED = 20_000

/** One file to be restored. Plain data: it goes to another thread. */
export interface Task {
  readonly item: Item
  readonly digest: string | null
  /** Permission bits, and the special ones where owners are restored too. */
  readonly mode: number
  /** Seconds since 1970. */
  readonly mtime: number
  readonly owner: { readonly uid: number; readonly gid: number } | null
}

/** Folders below the target, made when they are first needed, and never through a link. */
export class Tree {
  /** An earlier run was interrupted here: what is there already is its work. */
  readonly resumed: boolean
  readonly #root: Buffer
  readonly #known = new Set<string>()

  constructor(root: string, resumed: boolean) {
    this.#root = Buffer.from(root)
    this.resumed = resumed
  }

  at(name: Buffer): Buffer {
    return Buffer.concat([this.#root, SLASH, name])
  }

  /** Makes the folder `name` and those above it. Throws `Damage` where something else is in the way. */
  folder(name: Buffer): void {
    const key = name.toString('latin1')
    if (name.length === 0 || this.#known.has(key)) return
    this.#parentOf(name)
    const place = this.at(name)
    try {
      fs.mkdirSync(place, 0o700)
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error
      const found = fs.lstatSync(place)
      if (!found.isDirectory()) throw new Damage('something that is no folder is in the way')
      // The earlier run may have given it its own mode already, which may shut us out.
      if (this.resumed && (found.mode & 0o700) !== 0o700) fs.chmodSync(place, 0o700)
    }
    if (this.#known.size >= REMEMBERED) this.#known.clear()
    this.#known.add(key)
  }

  /** What is there under a name, after the folders above it have been made. Throws `Damage` as `folder` does. */
  find(name: Buffer): fs.Stats | undefined {
    this.#parentOf(name)
    return fs.lstatSync(this.at(name), { throwIfNoEntry: false })
  }

  #parentOf(name: Buffer): void {
    this.folder(name.subarray(0, Math.max(0, name.lastIndexOf(0x2f))))
  }
}

const SLASH = Buffer.from('/')

/** Puts files into the target: written under another name, proven, then given their own. */
export class Placer {
  readonly #archive: Joined
  readonly #tree: Tree
  readonly #staged: string

  /** `id`: of this thread. */
  constructor(archive: Joined, target: string, id: number, resumed: boolean) {
    this.#archive = archive
    this.#tree = new Tree(target, resumed)
    this.#staged = path.join(target, WORK_FOLDER, `file-${id}`)
  }

  /** Throws `Damage` when the content is not what was backed up; then nothing is in place. */
  async place(task: Task): Promise<void> {
    const { item } = task
    const found = this.#tree.find(item.name)
    const place = this.#tree.at(item.name)
    if (found !== undefined) {
      if (!this.#tree.resumed || !found.isFile()) throw new Damage('something of this name is there already')
      if (found.size === item.size && isProven(place, task)) return
    }
    fs.rmSync(this.#staged, { force: true })
    const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = fs.constants
    const fd = fs.openSync(this.#staged, O_WRONLY | O_CREAT | O_EXCL | (O_NOFOLLOW ?? 0), 0o600)
    try {
      await this.#write(fd, task)
      if (task.owner !== null) fs.fchownSync(fd, task.owner.uid, task.owner.gid)
      fs.fchmodSync(fd, task.mode)
      fs.futimesSync(fd, task.mtime, task.mtime)
    } finally {
      fs.closeSync(fd)
    }
    fs.renameSync(this.#staged, place)
  }

  async #write(fd: number, { item, digest }: Task): Promise<void> {
    const proof = new Proof(digest, item.crc)
    let at = 0
    await unpack(this.#archive, item, (bytes) => {
      proof.update(bytes)
      for (let from = 0; from < bytes.length; from += ZEROS.length) {
        const piece = bytes.subarray(from, from + ZEROS.length)
        if (piece.length < HOLE_FROM || !piece.equals(ZEROS.subarray(0, piece.length))) writeAll(fd, piece, at)
        at += piece.length
      }
    })
    if (!proof.holds()) throw new Damage('its content is not what was backed up')
    fs.ftruncateSync(fd, at)
  }
}

export function writeAll(fd: number, bytes: Buffer, position: number): void {
  for (let done = 0; done < bytes.length;) {
    done += fs.writeSync(fd, bytes, done, bytes.length - done, position + done)
  }
}

/** Whether the file in place is the one wanted: read again, for a run that was interrupted may have lost its last writes. */
function isProven(place: Buffer, { item, digest }: Task): boolean {
  const proof = new Proof(digest, item.crc)
  if (proof.isNone) return false
  const fd = openOwn(place)
  if (fd === null) return false
  try {
    const chunk = Buffer.allocUnsafe(256 << 10)
    for (let got = fs.readSync(fd, chunk); got > 0; got = fs.readSync(fd, chunk)) proof.update(chunk.subarray(0, got))
    return proof.holds()
  } finally {
    fs.closeSync(fd)
  }
}

/** Null for a file whose mode, as it was backed up, does not let its owner read it: it is written again. */
function openOwn(place: Buffer): number | null {
  try {
    return fs.openSync(place, 'r')
  } catch (error) {
    if (codeOf(error) !== 'EACCES') throw error
    return null
  }
}

/** Only looks whether the content is what was backed up. */
export async function checkContent(archive: Joined, { item, digest }: Task): Promise<void> {
  const proof = new Proof(digest, item.crc)
  await unpack(archive, item, (bytes) => proof.update(bytes))
  if (!proof.holds()) throw new Damage('its content is not what was backed up')
}
