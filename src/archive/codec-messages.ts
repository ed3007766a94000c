import { asBackupError, type ErrorRecord } from '../lib/errors.ts'
import type { PackJob, UnpackJob } from './codec.ts'
import { OWN_FROM, release } from '../lib/release.ts'
import { Gather, GATHER_BELOW } from './gather.ts'
import { packBlock, unpackBlock } from './pack-block.ts'
import { BLOCK } from './zip-records.ts'

/** What goes to a helper thread and back. All bytes of a request lie in one buffer, which is handed over. */

/** What the objects about one job come to. Bytes. */
export const JOB = 8 << 10

export type Work = { readonly op: 'pack'; readonly jobs: readonly PackJob[] } | UnpackWork
export interface UnpackWork {
  readonly op: 'unpack'
  readonly jobs: readonly UnpackJob[]
}

export interface Request {
  readonly id: number
  /** Holds all input bytes; comes back with the answer, to be used again: garbage of 1 MiB each is collected late. */
  readonly buffer: ArrayBuffer
  readonly work: Work
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
  readonly buffer: ArrayBuffer
  readonly results: readonly Result[]
  readonly error: ErrorRecord | null
}

function inputOf(job: PackJob | UnpackJob): Uint8Array {
  return 'bytes' in job ? job.bytes : job.data
}

const lengthOf = (work: Work): number => work.jobs.reduce((sum, job) => sum + inputOf(job).length, 0)

/** The `spare` buffer if it is large enough (else it is let go), or a new one. */
export function bufferFor(work: Work, spare: ArrayBuffer | undefined): ArrayBuffer {
  const total = lengthOf(work)
  return spare !== undefined && spare.byteLength >= total ? spare : new ArrayBuffer(Math.max(total, BLOCK))
}

/**
 * The request with its bytes copied into a buffer that is transferred. The copy costs a hundredth of
 * the work and keeps the originals here, so that the work can be done again if the helper dies.
 */
export function toRequest(id: number, work: Work, buffer: ArrayBuffer): Request {
  const all = new Uint8Array(buffer)
  let at = 0
  const place = (bytes: Uint8Array): Uint8Array => {
    all.set(bytes, at)
    at += bytes.length
    return all.subarray(at - bytes.length, at)
  }
  const copied: Work =
    work.op === 'pack'
      ? { op: 'pack', jobs: work.jobs.map((job) => ({ ...job, bytes: place(job.bytes) })) }
      : { op: 'unpack', jobs: work.jobs.map((job) => ({ ...job, data: place(job.data) })) }
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
    return work.jobs.map((job, index) => {
      const { data, method, crc, sha256 } = packBlock(job, memory)
      if (data !== job.bytes) made(index, data)
      return { data: data === job.bytes ? null : data, method, crc, sha256 }
    })
  }
  return work.jobs.map((job, index) => {
    const { bytes, crc, sha256 } = unpackBlock(job, memory)
    const own = bytes !== job.data && job.proof !== true
    if (own) made(index, bytes)
    return { data: own ? bytes : null, method: job.method, crc, sha256 }
  })
}

/** Answers a request; large results are handed over, small ones (and shared constants) copied. */
export function answer({ id, work, buffer }: Request): { reply: Reply; transfer: ArrayBuffer[] } {
  try {
    const transfer: ArrayBuffer[] = [buffer]
    const results = runWork(work).map((result) => {
      const data = result.data === null ? null : handOver(result.data, work.jobs.length > 1, transfer)
      return { ...result, data, sha256: new Uint8Array(result.sha256) }
    })
    return { reply: { id, buffer, results, error: null }, transfer }
  } catch (error) {
    const failure = asBackupError(error, 'codec').toRecord()
    return { reply: { id, buffer, results: [], error: failure }, transfer: [buffer] }
  }
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
