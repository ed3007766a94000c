import { createHash } from 'node:crypto'
import type { StageContext } from '../../../engine/stage.ts'
import { joined } from '../placer.ts'
import { foldedName, NameTable } from '../names.ts'
import { FILES, restoreSlot } from '../slots.ts'

/** 64 bits of a path's hash. Bytes. */
const RECORD = 8
/** Notes taken at most: beyond them nothing more is compared. About 40 MB when they are looked up. */
const MOST = 2_000_000
const READ = RECORD * 65_536

/** Notes the folders that a restore would make or fill, each about once. */
export class FolderNotes {
  readonly #ctx: StageContext
  readonly #most: number
  #last: readonly Buffer[] = []

  constructor(ctx: StageContext, most = MOST) {
    this.#ctx = ctx
    this.#most = most
  }

  /** The folder and all above it. False if there are too many. */
  note(folder: readonly Buffer[]): boolean {
    const file = this.#ctx.file(FILES.previewFolders)
    let depth = 0
    // Neighbours share their folders.
    while (depth < folder.length && this.#last[depth]?.equals(folder[depth] ?? Buffer.alloc(0)) === true) depth++
    this.#last = folder
    for (; depth < folder.length; depth++) {
      if (file.length >= this.#most * RECORD) return false
      file.write(hashOf(this.#ctx, folder.slice(0, depth + 1)))
    }
    return true
  }
}

/** The folders noted. A path is taken for one of them by accident once in billions of archives. */
export class FolderSet implements Disposable {
  readonly #ctx: StageContext
  #table: NameTable

  constructor(ctx: StageContext) {
    this.#ctx = ctx
    const file = ctx.file(FILES.previewFolders)
    this.#table = new NameTable(file.length / RECORD)
    for (let at = 0; at < file.length; at += READ) {
      const bytes = file.read(at, Math.min(READ, file.length - at))
      for (let i = 0; i < bytes.length; i += RECORD) this.#table.add(bytes.readUInt32LE(i), bytes.readUInt32LE(i + 4))
    }
  }

  has(path: readonly Buffer[]): boolean {
    const hash = hashOf(this.#ctx, path)
    return this.#table.has(hash.readUInt32LE(0), hash.readUInt32LE(4))
  }

  [Symbol.dispose](): void {
    this.#table = new NameTable(0)
  }
}

function hashOf(ctx: StageContext, path: readonly Buffer[]): Buffer {
  const name = joined(path)
  const same = restoreSlot(ctx).folded ? foldedName(name) : name
  return createHash('sha256').update(same).digest().subarray(0, RECORD)
}
