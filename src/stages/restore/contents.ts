import zlib from 'node:zlib'
import type { Codec, UnpackJob, Unpacked } from '../../archive/codec.ts'
import { GATHER_BELOW } from '../../archive/gather.ts'
import type { ArchiveEntry } from '../../archive/format.ts'
import type { ManifestEntry } from '../../archive/manifest.ts'
import { BackupError } from '../../lib/errors.ts'
import { release } from '../../lib/release.ts'
import type { OpenArchive } from '../parts.ts'
import { digestFor } from './content-digest.ts'
import { damageOf, type Fault } from './report.ts'

/** Entries up to this many bytes are unpacked in one piece, several at a time. */
export const SMALL = 1 << 20

export interface Wanted {
  readonly entry: ArchiveEntry
  readonly line: ManifestEntry | null
}

/** `owned`: the bytes have their memory to themselves. */
interface Proven {
  readonly entry: Pick<ArchiveEntry, 'crc'>
  readonly line: Pick<ManifestEntry, 'digest'> | null
}

export type Content = { readonly bytes: Buffer; readonly owned: boolean } | { readonly fault: Fault }

const NOTHING = Buffer.alloc(0)

/** What the entry and its manifest line disagree about before any content is read. */
export function headFault({ entry, line }: Wanted): Fault | null {
  if (line === null) return null
  if (line.type !== entry.kind)
    return damaged(`the manifest lists it as a ${line.type}, the archive as a ${entry.kind}`)
  if (entry.kind !== 'dir' && line.size !== entry.size) {
    return damaged(`the manifest says ${line.size} bytes, the archive ${entry.size}`)
  }
  return null
}

/** Compares what was read with what the archive and the manifest say. Null if all is right. */
export function contentFault({ entry, line }: Proven, crc: number, digest: string | null): Fault | null {
  if (entry.crc !== null && crc !== entry.crc) return damaged('its CRC differs: the content is damaged')
  if (digest !== null && line !== null && digest !== line.digest) {
    return damaged('its digest differs from the manifest: the content is not what was backed up')
  }
  return null
}

const damaged = (message: string): Fault => ({ kind: 'damaged', message })

/** Unpacks and proves small entries together, on all cores. One damaged entry leaves the others whole. */
export async function readSmall(archive: OpenArchive, codec: Codec, wanted: readonly Wanted[]): Promise<Content[]> {
  const jobs = wanted.map((one) => jobOf(archive, one))
  const whole = jobs.filter((job): job is UnpackJob => job !== null && !('fault' in job))
  const results = await unpackAll(codec, whole)
  for (const { data, method } of whole) if (method === 'deflate') release(data) // a copy, which nobody else has
  let next = 0
  const contents: Content[] = []
  for (const [i, one] of wanted.entries()) {
    const job = jobs[i] ?? null
    if (job !== null && 'fault' in job) contents.push(job)
    else if (job === null) contents.push(await readAlone(archive, one))
    else {
      const result = results?.[next++]
      contents.push(result === undefined ? await readAlone(archive, one) : proven(one, result))
    }
  }
  return contents
}

/** Null: not one block; it has to be read by itself. */
function jobOf(archive: OpenArchive, one: Wanted): UnpackJob | { fault: Fault } | null {
  if (one.entry.size === 0) return null
  try {
    for (const block of archive.blocksOf(one.entry)) {
      if (block.next.plain !== one.entry.size) return null
      return { data: block.data, method: block.method, size: block.plainSize }
    }
    return null
  } catch (error) {
    return isReadError(error) ? null : { fault: damageOf(error) }
  }
}

/** The disk of the archive failed once: it is asked a second time before the entry is given up. */
export const isReadError = (error: unknown): boolean => error instanceof BackupError && error.code === 'IO_ERROR'

/** Null if any of them does not unpack: then each is read by itself to find which. */
async function unpackAll(codec: Codec, jobs: readonly UnpackJob[]): Promise<Unpacked[] | null> {
  if (jobs.length === 0) return []
  try {
    return await codec.unpack(jobs)
  } catch (error) {
    if (error instanceof BackupError && error.code === 'ARCHIVE_DAMAGED') return null
    throw error
  }
}

function proven(one: Wanted, { bytes, crc, sha256 }: Unpacked): Content {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const expected = one.line?.digest ?? null
  let digest: string | null = null
  if (expected !== null) {
    const blocks = expected.startsWith('sha256-1m:')
    digest = blocks ? digestOf(expected, buffer) : `sha256:${Buffer.from(sha256).toString('hex')}`
  }
  const fault = contentFault(one, crc, digest)
  if (fault !== null) return { fault }
  // Small results of one batch share their memory; what is stored is a copy of its own.
  const alone =
    one.entry.method === 'deflate' ? buffer.length >= GATHER_BELOW : buffer.length === buffer.buffer.byteLength
  return { bytes: buffer, owned: alone }
}

function digestOf(expected: string | null, bytes: Buffer): string | null {
  const digest = digestFor(expected)
  digest?.update(bytes)
  return digest?.digest() ?? null
}

async function readAlone(archive: OpenArchive, one: Wanted, again = true): Promise<Content> {
  const pieces: Buffer[] = []
  try {
    for await (const piece of archive.content(one.entry)) pieces.push(Buffer.from(piece.bytes))
  } catch (error) {
    if (again && isReadError(error)) return readAlone(archive, one, false)
    return { fault: damageOf(error) }
  }
  const bytes = pieces.length === 0 ? NOTHING : Buffer.concat(pieces)
  if (bytes.length !== one.entry.size) return { fault: damaged('the content is shorter than announced') }
  const fault = contentFault(one, zlib.crc32(bytes), digestOf(one.line?.digest ?? null, bytes))
  return fault === null ? { bytes, owned: false } : { fault }
}
