import crypto from 'node:crypto'
import zlib from 'node:zlib'
import { OWN_FROM, release } from '../lib/release.ts'
import type { Packed, PackJob, Unpacked, UnpackJob } from './codec.ts'
import { inflateExactly } from './inflate.ts'
import { BLOCK, damaged } from './zip-records.ts'

/** One block, in the calling thread. Pure: the same bytes give the same result in every process. */

/** An empty stored deflate block, byte-aligned: what a sync flush ends with, and harmless anywhere between blocks. */
const EMPTY_BLOCK = Buffer.from('000000ffff', 'hex')
const STORED_MAX = 65_535
/** Readers refuse more than 1000:1 as a bomb; blocks that would come near it are filled up to this. */
const MAX_RATIO = 900
/** Below this, deflating costs no more than finding out whether it pays. */
const TRIAL_FROM = 32 << 10
const SAMPLE = 8 << 10
const SAMPLES = 4
/** A sample that keeps more than this share at level 1 is not worth level 6. */
const INCOMPRESSIBLE = 0.98
/** Room for any result, so that it is one buffer: what is not written to costs nothing, joined pieces are garbage. */
const CHUNK = BLOCK + (64 << 10)

const sha256 = (bytes: Uint8Array): Buffer => crypto.hash('sha256', bytes, 'buffer')

/** Whether no sample of the block shrinks. All must agree: a block that is half text is worth deflating. */
function isIncompressible(bytes: Uint8Array): boolean {
  if (bytes.length < TRIAL_FROM) return false
  const stride = Math.floor((bytes.length - SAMPLE) / (SAMPLES - 1))
  for (let i = 0; i < SAMPLES; i++) {
    const sample = bytes.subarray(i * stride, i * stride + SAMPLE)
    const packed = zlib.deflateRawSync(sample, { level: 1, chunkSize: OWN_FROM })
    const { length } = packed
    release(packed)
    if (length < sample.length * INCOMPRESSIBLE) return false
  }
  return true
}

/** The bytes as stored deflate blocks, ended like every other piece. */
function storedBlocks(bytes: Uint8Array): Buffer {
  const count = Math.ceil(bytes.length / STORED_MAX)
  const out = Buffer.allocUnsafe(bytes.length + 5 * count + EMPTY_BLOCK.length)
  let to = 0
  for (let from = 0; from < bytes.length; from += STORED_MAX) {
    const part = bytes.subarray(from, from + STORED_MAX)
    out.writeUInt8(0, to)
    out.writeUInt16LE(part.length, to + 1)
    out.writeUInt16LE(part.length ^ 0xffff, to + 3)
    out.set(part, to + 5)
    to += 5 + part.length
  }
  EMPTY_BLOCK.copy(out, to)
  return out
}

const storedLength = (plain: number): number => plain + 5 * Math.ceil(plain / STORED_MAX) + EMPTY_BLOCK.length

/** Puts empty blocks before a piece until it is no smaller than plain / MAX_RATIO. */
function fillUp(piece: Buffer, plain: number): Buffer {
  const missing = Math.ceil(plain / MAX_RATIO) - piece.length
  if (missing <= 0) return piece
  const empties = Math.ceil(missing / EMPTY_BLOCK.length)
  return Buffer.concat([Buffer.alloc(empties * EMPTY_BLOCK.length, EMPTY_BLOCK), piece])
}

function deflateBlock(bytes: Uint8Array, level: number): Buffer {
  if (level === 0 || isIncompressible(bytes)) return storedBlocks(bytes)
  const piece = zlib.deflateRawSync(bytes, { level, finishFlush: zlib.constants.Z_SYNC_FLUSH, chunkSize: CHUNK })
  if (piece.length < storedLength(bytes.length)) return fillUp(tight(piece), bytes.length)
  release(piece)
  return storedBlocks(bytes)
}

/** In memory of its own size, if it lies in far more: it may wait for its turn behind others. */
function tight(piece: Buffer): Buffer {
  if (piece.length * 2 >= piece.buffer.byteLength) return piece
  const copy = Buffer.allocUnsafeSlow(piece.length)
  piece.copy(copy)
  release(piece)
  return copy
}

/** Null where storing is no worse. */
function deflateWhole(bytes: Uint8Array, level: number, memory: number): Buffer | null {
  if (level === 0 || isIncompressible(bytes)) return null
  const chunkSize = Math.max(memory, Math.min(CHUNK, bytes.length + 1024))
  const packed = zlib.deflateRawSync(bytes, { level, chunkSize })
  if (packed.length < bytes.length) return packed
  release(packed)
  return null
}

const NONE = Buffer.alloc(0)

function pack({ bytes, mode, level, sha256: wanted }: PackJob, memory: number): Packed {
  const packed = mode === 'block' ? deflateBlock(bytes, level) : deflateWhole(bytes, level, memory)
  const digests = { crc: zlib.crc32(bytes), sha256: wanted === undefined ? sha256(bytes) : NONE }
  return packed === null
    ? { data: bytes, method: 'store', ...digests }
    : { data: packed, method: 'deflate', ...digests }
}

const zeros = Buffer.alloc(BLOCK)
const zeroResults: Partial<Record<PackJob['mode'], Packed>> = {}

/**
 * Compresses and digests one block; the result lies in at least `memory` bytes, so that a small one can be given back.
 * A block of zeros costs a comparison: sparse files are full of them.
 */
export function packBlock(job: PackJob, memory = 0): Packed {
  if (job.level === 0 || job.bytes.length !== BLOCK || zeros.compare(job.bytes) !== 0) return pack(job, memory)
  const known = (zeroResults[job.mode] ??= packZeros(job.mode))
  return job.sha256 === undefined ? known : { ...known, sha256: NONE }
}

/** The SHA-256 over all jobs that are joined; null if there are none. */
export function joinedDigest(jobs: readonly PackJob[]): Buffer | null {
  let hash: crypto.Hash | null = null
  for (const { bytes, sha256: wanted } of jobs) {
    if (wanted === 'joined') hash = (hash ?? crypto.createHash('sha256')).update(bytes)
  }
  return hash === null ? null : hash.digest()
}

/** Small and a copy, which nobody gives back. */
function packZeros(mode: PackJob['mode']): Packed {
  const packed = pack({ bytes: zeros, mode, level: 9 }, 0)
  return { ...packed, data: Buffer.from(packed.data) }
}

/** ARCHIVE_DAMAGED if the data does not give exactly `size` bytes. The bytes lie in at least `memory`. */
export function unpackBlock({ data, method, size, proof }: UnpackJob, memory = 0): Unpacked {
  if (method === 'store' && data.length !== size) {
    throw damaged(`${data.length} bytes are stored; ${size} were announced`)
  }
  const bytes = method === 'store' ? data : inflateExactly(data, size, proof === true ? OWN_FROM : memory)
  if (proof === true) {
    const crc = zlib.crc32(bytes)
    if (bytes !== data) release(bytes)
    return { bytes: NONE, crc, sha256: NONE }
  }
  return { bytes, crc: zlib.crc32(bytes), sha256: sha256(bytes) }
}
