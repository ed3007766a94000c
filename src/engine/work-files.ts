import { AppendFile } from '../lib/append-file.ts'
import { removeIfThere, syncFolder } from '../lib/durable-file.ts'
import type { Disk } from '../lib/disk.ts'
import type { HeldJob } from './held-job.ts'
import { makeFolder, type House } from './house.ts'
import type { Place } from './stage.ts'

/** Names of files given up that a record may hold. */
const TRASH = 64

export const workKey = (name: string, place: Place): string => (place === 'out' ? `out/${name}` : name)

/** The open work files of one step, and the half of a commit that concerns them. */
export class WorkFiles {
  readonly #disk: Disk
  #held: HeldJob
  #house: House
  readonly #open = new Map<string, AppendFile>()
  readonly #released = new Set<string>()
  readonly #handed = new Set<string>()
  readonly #made = new Set<string>()
  #unsyncedFrom = 0

  constructor(disk: Disk, held: HeldJob, house: House) {
    this.#disk = disk
    this.#held = held
    this.#house = house
  }

  /** The next step of the same process goes on with the open handles, under its own hold. */
  rebind(held: HeldJob, house: House): void {
    this.#held = held
    this.#house = house
  }

  path(name: string, place: Place): string {
    return this.#house.file(this.#held.job, workKey(name, place))
  }
  folder(place: Place): string {
    return this.#house.folder(this.#held.job, place)
  }

  open(name: string, place: Place): AppendFile {
    const key = workKey(name, place)
    if (this.#held.job.trash.includes(key))
      throw new Error(`work file ${key} was dropped in this step; use another name`)
    this.#released.delete(key)
    const present = this.#open.get(key)
    if (present !== undefined) return present
    const folder = this.folder(place)
    if (!this.#made.has(folder)) {
      this.#held.check()
      makeFolder(this.#disk, folder)
      this.#made.add(folder)
    }
    const file = AppendFile.open(this.#disk, this.path(name, place), this.#held.job.files[key] ?? 0, () =>
      this.#held.check(),
    )
    this.#open.set(key, file)
    return file
  }

  /** A file written by another program becomes this work file, all of it, with the next commit. */
  adopt(name: string, place: Place): AppendFile {
    const key = workKey(name, place)
    if (this.#open.has(key) || key in this.#held.job.files) throw new Error(`there is a work file ${key} already`)
    const file = AppendFile.adopt(this.#disk, this.path(name, place), () => this.#held.check())
    this.#open.set(key, file)
    return file
  }

  /** Its handle is closed with the next commit. */
  release(name: string, place: Place): void {
    this.#released.add(workKey(name, place))
  }
  /** It leaves the record with the next commit, synced, and stays on disk. */
  hand(name: string, place: Place): void {
    this.open(name, place)
    this.#handed.add(workKey(name, place))
  }
  /** It leaves the record with the next commit and is removed at the next take. */
  drop(name: string, place: Place): void {
    const key = workKey(name, place)
    this.#open.get(key)?.close()
    this.#open.delete(key)
    this.#handed.delete(key)
    this.#released.delete(key)
    delete this.#held.job.files[key]
    this.#held.job.trash.push(key)
  }

  /** Bytes appended since the last commit, roughly: enough to decide when the next is due. */
  get unsynced(): number {
    return this.#total() - this.#unsyncedFrom
  }

  /** Makes all bytes durable and writes their lengths into the record in memory. */
  async sync(): Promise<void> {
    const files = [...this.#open]
    const folders = new Set<string>()
    // All of them end before a failure is thrown: a handle must not be closed under a sync that uses it.
    const ends = await Promise.allSettled(files.map(([, file]) => file.sync()))
    for (const [i, [key, file]] of files.entries()) {
      const end = ends[i]
      if (end?.status === 'rejected') throw end.reason
      const length = end?.value ?? 0
      if (file.created) folders.add(this.folder(key.startsWith('out/') ? 'out' : 'side'))
      if (length > 0 || file.created || key in this.#held.job.files) this.#held.job.files[key] = length
    }
    for (const folder of folders) syncFolder(this.#disk, folder)
    for (const key of this.#handed) delete this.#held.job.files[key]
  }

  /** After the record is written: cuts what was rewound, closes what was released. */
  committed(): void {
    for (const file of this.#open.values()) file.committed()
    for (const key of [...this.#handed, ...this.#released]) {
      this.#open.get(key)?.close()
      this.#open.delete(key)
    }
    this.#handed.clear()
    this.#released.clear()
    this.#emptyTrash()
    this.#unsyncedFrom = this.#total()
  }

  /** A long step may give up thousands of files: no record names them any more, and their list must not fill it. */
  #emptyTrash(): void {
    const { job } = this.#held
    if (job.trash.length <= TRASH) return
    for (const key of job.trash) removeIfThere(this.#disk, this.#house.file(job, key))
    job.trash = []
  }

  /** Until nothing is being written in the background. Never rejects. */
  async settled(): Promise<void> {
    await Promise.all([...this.#open.values()].map((file) => file.settled()))
  }

  /** Closes without writing: what is not committed never happened. */
  close(): void {
    for (const file of this.#open.values()) file.close()
    this.#open.clear()
  }

  #total(): number {
    let total = 0
    for (const file of this.#open.values()) total += file.length
    return total
  }
}
