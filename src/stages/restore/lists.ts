import type { AppendFile } from '../../lib/append-file.ts'
import type { StageContext } from '../../engine/stage.ts'
import type { Json } from '../../engine/json.ts'
import { nameFromJson, nameToJson } from '../../lib/entry-path.ts'
import type { Metadata } from './metadata.ts'
import type { Item } from './plan.ts'
import { FILES } from './slots.ts'

/** What is left to do at the end of a restore, one JSON line each, in a work file. */

export interface FolderNote {
  readonly path: Buffer
  /** Null: it has no entry. */
  readonly metadata: Metadata | null
  readonly xattrs?: Readonly<Record<string, string>>
  /** It was not asked for by itself: skip it if nothing below it was restored. */
  readonly ifThere?: true
}

export interface LinkNote {
  readonly path: Buffer
  readonly target: Buffer
  readonly metadata: Metadata
}

/** A restored file that had several names. */
export interface HardNote {
  readonly path: Buffer
  /** The same for all names of one file, while their content was the same. */
  readonly file: string
}

const CHUNK = 64 << 10

const packed = (m: Metadata): Json => [m.mode, m.mtime, m.uid, m.gid]

function unpacked(raw: Json | undefined): Metadata | null {
  if (!Array.isArray(raw)) return null
  const [mode, mtime, uid, gid] = raw
  return { mode: Number(mode), mtime: numberOrNull(mtime), uid: numberOrNull(uid), gid: numberOrNull(gid) }
}

const numberOrNull = (raw: Json | undefined): number | null => (typeof raw === 'number' ? raw : null)

function append(file: AppendFile, value: Json): void {
  file.write(Buffer.from(`${JSON.stringify(value)}\n`, 'utf8'))
}

export function noteFolder(file: AppendFile, note: FolderNote): void {
  append(file, {
    p: nameToJson(note.path),
    ...(note.metadata === null ? {} : { m: packed(note.metadata) }),
    ...(note.xattrs === undefined ? {} : { x: { ...note.xattrs } }),
    ...(note.ifThere === true ? { if: true } : {}),
  })
}

export function noteLink(file: AppendFile, note: LinkNote): void {
  append(file, { p: nameToJson(note.path), l: note.target.toString('base64'), m: packed(note.metadata) })
}

/** One of several names of a file: they are made one file again at the end, when all are in place. */
export function noteName(ctx: StageContext, { entry, line }: Item): void {
  if (line?.group === undefined || line.digest === null) return
  append(ctx.file(FILES.hard), { p: nameToJson(entry.path), f: `${line.group} ${line.digest}` })
}

export const asHard = (raw: Raw): HardNote => ({ path: nameFromJson(String(raw['p'])), file: String(raw['f']) })

type Raw = Record<string, Json | undefined>

export function asFolder(raw: Raw): FolderNote {
  const x = raw['x']
  return {
    path: nameFromJson(String(raw['p'])),
    metadata: unpacked(raw['m']),
    ...(typeof x === 'object' && x !== null && !Array.isArray(x) ? { xattrs: x as Record<string, string> } : {}),
    ...(raw['if'] === true ? { ifThere: true as const } : {}),
  }
}

export function asLink(raw: Raw): LinkNote {
  const metadata = unpacked(raw['m']) ?? { mode: 0o777, mtime: null, uid: null, gid: null }
  return { path: nameFromJson(String(raw['p'])), target: Buffer.from(String(raw['l']), 'base64'), metadata }
}

export interface ListLine {
  readonly raw: Raw
  /** Where to go on: the offset after this line, or, backwards, that of its first byte. */
  readonly next: number
}

/** Lines from `at` on. */
export function* forwards(file: AppendFile, at: number): Generator<ListLine> {
  let buffer = Buffer.alloc(0)
  for (let from = at; ;) {
    const end = buffer.indexOf(0x0a)
    if (end >= 0) {
      const raw = JSON.parse(buffer.toString('utf8', 0, end)) as Raw
      buffer = buffer.subarray(end + 1)
      from += end + 1
      yield { raw, next: from }
      continue
    }
    const more = file.read(from + buffer.length, Math.min(CHUNK, file.length - from - buffer.length))
    if (more.length === 0) return
    buffer = Buffer.concat([buffer, more])
  }
}

/** Lines that end before `at`, last one first. */
export function* backwards(file: AppendFile, at: number): Generator<ListLine> {
  let buffer = Buffer.alloc(0)
  for (let end = at; end > 0;) {
    const start = buffer.length < 2 ? -1 : buffer.lastIndexOf(0x0a, buffer.length - 2)
    const first = end - buffer.length
    if (start < 0 && first > 0) {
      const length = Math.min(CHUNK, first)
      buffer = Buffer.concat([file.read(first - length, length), buffer])
      continue
    }
    const line = buffer.subarray(start + 1, buffer.length - 1)
    end -= line.length + 1
    buffer = buffer.subarray(0, start + 1)
    yield { raw: JSON.parse(line.toString('utf8')) as Raw, next: end }
  }
}
