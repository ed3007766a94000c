import path from 'node:path'
import { AppendFile } from '../../src/lib/append-file.ts'
import type { Disk } from '../../src/lib/disk.ts'
import { newListSlot, type ListSlot, type ListStore } from '../../src/source/list-store.ts'

/** What a stage would offer, with its steps played by hand. */
export class TestListStore implements ListStore {
  readonly #disk: Disk
  readonly #folder: string
  #record = JSON.stringify(newListSlot())
  #slot: ListSlot = newListSlot()
  #committed = new Map<string, number>()
  #open = new Map<string, AppendFile>()
  #warm = new Map<string, Disposable>()
  readonly dropped: string[] = []

  constructor(disk: Disk, folder: string) {
    this.#disk = disk
    this.#folder = folder
  }

  file(name: string): AppendFile {
    const known = this.#open.get(name)
    if (known !== undefined) return known
    const file = AppendFile.open(this.#disk, path.join(this.#folder, name), this.#committed.get(name) ?? 0)
    this.#open.set(name, file)
    return file
  }

  drop(name: string): void {
    this.dropped.push(name)
    this.#open.get(name)?.close()
    this.#open.delete(name)
    this.#committed.delete(name)
  }

  slot(): ListSlot {
    return this.#slot
  }

  keep<T extends Disposable>(key: string, make: () => T): T {
    const known = this.#warm.get(key)
    if (known !== undefined) return known as T
    const made = make()
    this.#warm.set(key, made)
    return made
  }

  forget(key: string): void {
    this.#warm.delete(key)
  }

  /** The end of a step: lengths and slot become the record, handles are closed. */
  async commit(): Promise<void> {
    for (const [name, file] of this.#open) {
      this.#committed.set(name, await file.sync())
      file.committed()
      file.close()
    }
    this.#open.clear()
    this.#record = JSON.stringify(this.#slot)
    this.#slot = JSON.parse(this.#record) as ListSlot
  }

  /** A step that failed: slot and lengths go back to the last commit, the process lives on. */
  fail(): void {
    for (const file of this.#open.values()) file.close()
    this.#open.clear()
    this.#slot = JSON.parse(this.#record) as ListSlot
  }

  /** The process dies after a commit: only the record and the files are left. */
  lose(): void {
    for (const thing of this.#warm.values()) thing[Symbol.dispose]()
    this.#warm.clear()
  }
}
