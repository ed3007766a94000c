import { asBackupError, type ErrorRecord } from '../lib/errors.ts'
import type { PackJob, UnpackJob } from './codec.ts'
import { OWN_FROM, release } from '../lib/release.ts'
import { Gather, GATHER_BELOW } from './gather.ts'
import type { HashStreams } from './hash-streams.ts'
import { joinedDigest, packBlock, unpackBlock } from './pack-block.ts'
import { BLOCK } from './zip-records.ts'

/**
 * What goes to a helper thread and back. Bytes in shared memory are only pointed at; all others of a request are
 * copied into one buffer, which is handed over.
 */

/** What the objects about one job come to. Bytes. */
export const JOB = 8 << 10

export type Work = { readonly op: 'pack'; readonly jobs: readonly PackJob[] } | UnpackWork
export interface UnpackWork {
  readonly op: 'unpack'
  readonly jobs: readonly UnpackJob[]
}

/** More of a SHA-256 that one helper takes. */
export interface HashWork {
  readonly op: 'hash'
  /** Which one. */
  readonly stream: number
  /** Bytes as they are. */
  readonly jobs: readonly UnpackJob[]
  /** Whether these are the last ones, and what for. */
  readonly end: 'digest' | 'forget' | null
}

export interface Request {
  readonly id: number
  /** Holds what is not shared; comes back with the answer, to be used again: garbage of 1 MiB each is collected late. */
  readonly buffer: ArrayBuffer | null
  readonly work: Work | HashWork
}

/** `data` null: the input itself (nothing is sent back that the other side has). */
export interface Result {
  readonly data: Uint8Array | null
  readonly method: 'store' | 'deflate'
  readonly crc: number
  readonly sha256: Uint8Array
}

export interface Reply {
  readonly id: number
  readonly buffer: ArrayBuffer | null
  readonly results: readonly Result[]
  readonly error: ErrorRecord | null
}

function inputOf(job: PackJob | UnpackJob): Uint8Array {
  return 'bytes' in job ? job.bytes : job.data
}

const isShared = (bytes: Uint8Array): boolean => bytes.buffer instanceof SharedArrayBuffer

/** What has to be copied. */
const lengthOf = ({ jobs }: Work | HashWork): number =>
  jobs.reduce((sum: number, job: PackJob | UnpackJob) => sum + (isShared(inputOf(job)) ? 0 : inputOf(job).length), 0)

/** Null if nothing has to be copied; else one of the `spare` buffers if it is large enough (else it is let go), or a new one. */
export function bufferFor(work: Work | HashWork, spare: ArrayBuffer[]): ArrayBuffer | null {
  const total = lengthOf(work)
  if (total === 0) return null
  const found = spare.pop()
  return found !== undefined && found.byteLength >= total ? found : new ArrayBuffer(Math.max(total, BLOCK))
}

/**
 * The request, with what is not shared copied into a buffer that is transferred: the originals stay here, so that the
 * work can be done again if the helper dies.
 */
export function toRequest(id: number, work: Work | HashWork, buffer: ArrayBuffer | null): Request {
  const all = new Uint8Array(buffer ?? new ArrayBuffer(0))
  let at = 0
  const place = (bytes: Uint8Array): Uint8Array => {
    if (isShared(bytes)) return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
    all.set(bytes, at)
    at += bytes.length
    return all.subarray(at - bytes.length, at)
  }
  const copied: Work | HashWork =
    work.op === 'pack'
      ? { op: 'pack', jobs: work.jobs.map((job) => ({ ...job, bytes: place(job.bytes) })) }
      : { ...work, jobs: work.jobs.map((job) => ({ ...job, data: place(job.data) })) }
  return { id, work: copied, buffer }
}

/** Does the work in the calling thread. ARCHIVE_DAMAGED from the first job that fails. */
export function runWork(work: Work): Result[] {
  if (work.jobs.length === 1) return resultsOf(work, 0, () => {})
  const gather = new Gather(work.jobs.reduce((sum, job) => sum + Math.min(plainSize(job), GATHER_BELOW), 0))
  const results = resultsOf(work, OWN_FROM, (index, data) => gather.add(index, data))
  const gathered = gather.end()
  return results.map((result, index) => ({ ...result, data: gathered.get(index) ?? result.data }))
}

const plainSize = (job: PackJob | UnpackJob): number => ('bytes' in job ? job.bytes.length : job.size)

/** `made` sees what each job gives, where that is not its input. `memory`: what each result lies in at least. */
function resultsOf(work: Work, memory: number, made: (index: number, data: Uint8Array) => void): Result[] {
  if (work.op === 'pack') {
    const joined = joinedDigest(work.jobs)
    const last = work.jobs.findLastIndex((job) => job.sha256 === 'joined')
    return work.jobs.map((job, index) => {
      const { data, method, crc, sha256 } = packBlock(job, memory)
      if (data !== job.bytes) made(index, data)
      const digest = joined !== null && index === last ? joined : sha256
      return { data: data === job.bytes ? null : data, method, crc, sha256: digest }
    })
  }
  return work.jobs.map((job, index) => {
    const { bytes, crc, sha256 } = unpackBlock(job, memory)
    const own = bytes !== job.data && job.proof !== true
    if (own) made(index, bytes)
    return { data: own ? bytes : null, method: job.method, crc, sha256 }
  })
}

/** Answers a request, with what the helper keeps between them; large results are handed over, small ones (and shared constants) copied. */
export function answer({ id, work, buffer }: Request, hashes: HashStreams): { reply: Reply; transfer: ArrayBuffer[] } {
  const back = buffer === null ? [] : [buffer]
  try {
    const transfer: ArrayBuffer[] = [...back]
    const done = work.op === 'hash' ? [hashed(work, hashes)] : runWork(work)
    const results = done.map((result) => {
      const data = result.data === null ? null : handOver(result.data, work.jobs.length > 1, transfer)
      return { ...result, data, sha256: new Uint8Array(result.sha256) }
    })
    return { reply: { id, buffer, results, error: null }, transfer }
  } catch (error) {
    const failure = asBackupError(error, 'codec').toRecord()
    return { reply: { id, buffer, results: [], error: failure }, transfer: back }
  }
}

function hashed(work: HashWork, hashes: HashStreams): Result {
  return { data: null, method: 'store', crc: 0, sha256: hashes.run(work) }
}

/** `shared`: small results lie in the same memory. Alone, a small one is not worth the large buffer it lies in. */
function handOver(data: Uint8Array, shared: boolean, transfer: ArrayBuffer[]): Uint8Array {
  const { buffer } = data
  if (!(buffer instanceof ArrayBuffer) || buffer.byteLength < OWN_FROM) return new Uint8Array(data)
  if (!shared && data.length < OWN_FROM) {
    const copy = new Uint8Array(data)
    release(data)
    return copy
  }
  if (!transfer.includes(buffer)) transfer.push(buffer)
  return data
}
