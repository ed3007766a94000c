import { asBackupError, BackupError } from '../lib/errors.ts'
import type { AppendFile } from '../lib/append-file.ts'
import type { FileStat } from '../lib/disk.ts'
import { encodeManifestLine } from '../archive/manifest.ts'
import type { StageContext, Steps } from '../engine/stage.ts'
import type { Sink, Taken } from '../sink/sink.ts'
import type { Entry, Identity, OpenEntry, SourceItem } from '../source/source.ts'

/** An entry that this program writes itself. */
export interface OwnText {
  /** Its work file; made with `text`, if that is given, when the first of them is packed. */
  readonly file: string
  /** Path in the archive. */
  readonly name: string
  readonly text?: () => string
}

interface OwnSlot {
  /** How many of them are in the archive. */
  own: number
  /** All of them, and their work files are given up. */
  done: boolean
}

/** Work file of lines about our own entries, as the manifest has them; itself the last entry. */
export const SEAL_FILE = 'sealed-own'

export interface OwnTexts {
  readonly key: string
  readonly texts: readonly OwnText[]
  /** A line about each goes into the seal: the format holds no checksum. */
  readonly sealed: boolean
}

/** Puts entries of our own into the archive, after one another. They count for no total, which tell what was backed up. */
export async function* packOwn(ctx: StageContext, sink: Sink, { key, texts, sealed }: OwnTexts): Steps {
  const slot = ctx.slot<OwnSlot>(key, () => {
    for (const { file, text } of texts) if (text !== undefined) ctx.file(file).write(Buffer.from(text(), 'utf8'))
    return { own: 0, done: false }
  })
  if (slot.done) return
  yield* sink.feed(
    key,
    () => entriesOf(ctx, texts, slot.own),
    (item, taken) => {
      if (taken?.stored !== true) {
        throw new BackupError('INTERNAL', `${texts[slot.own]?.name ?? key} was left out: ${taken?.message ?? ''}`)
      }
      slot.own++
      ctx.count({ entries: -1, files: -1, bytesRead: -taken.size })
      if (sealed && item.type === 'entry') ctx.file(SEAL_FILE).write(sealLine(item, taken))
    },
  )
  for (const { file } of texts) ctx.drop(file)
  slot.done = true
}

function sealLine({ path, stat }: Entry, taken: Extract<Taken, { stored: true }>): Buffer {
  const { size, digest, mtimeNs } = taken
  const line = { path, type: 'file', size, mtimeNs, mode: stat.mode, uid: stat.uid, gid: stat.gid, digest } as const
  return Buffer.from(`${encodeManifestLine(line)}\n`, 'utf8')
}

async function* entriesOf(
  ctx: StageContext,
  texts: readonly OwnText[],
  from: number,
): AsyncGenerator<SourceItem, void, undefined> {
  for (const [i, { file, name }] of texts.entries()) {
    if (i >= from) yield ownEntry(() => ctx.file(file), name, i, ctx.job.createdAt)
  }
}

/** A complete work file as an entry of the archive. It cannot change: nobody else writes it. */
export function ownEntry(work: () => AppendFile, name: string, mark: number, createdAt: number): Entry {
  const file = work()
  const time = BigInt(Math.floor(createdAt / 1000)) * 1_000_000_000n
  const stat: FileStat = {
    kind: 'file',
    dev: 0n,
    ino: BigInt(mark),
    mode: 0o100644,
    nlink: 1,
    uid: 0,
    gid: 0,
    size: file.length,
    blocks: Math.ceil(file.length / 512),
    mtimeNs: time,
    ctimeNs: time,
  }
  const identity: Identity = {
    dev: '0',
    ino: String(mark),
    size: file.length,
    mtimeNs: String(time),
    ctimeNs: String(time),
  }
  return {
    type: 'entry',
    mark: String(mark),
    path: Buffer.from(name, 'utf8'),
    kind: 'file',
    stat,
    open: () => new OpenWorkFile(work, identity),
  }
}

/** A complete work file, opened as an entry's content under an identity that its slot remembers. */
export class OpenWorkFile implements OpenEntry {
  readonly identity: Identity
  readonly #work: () => AppendFile

  constructor(work: () => AppendFile, identity: Identity) {
    this.#work = work
    this.identity = identity
  }
  /** An error of our own disk is not one of the source: it must not look like a file that cannot be read. */
  read(into: Uint8Array, length: number, position: number): number {
    const work = this.#work()
    try {
      return work.readInto(into, position, length)
    } catch (error) {
      throw asBackupError(error, `work file ${work.path}`, 'IO_ERROR')
    }
  }
  prove(): void {
    const { length, path } = this.#work()
    if (length !== this.identity.size) throw new Error(`${path} changed while it was packed`)
  }
  grown(): boolean {
    return false
  }
  close(): void {
    // The work file stays open: it belongs to the step.
  }
}
