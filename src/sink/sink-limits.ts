import type { Deflate } from '../engine/spec.ts'
import type { Format } from '../archive/format.ts'
import { BLOCK, WHOLE_DIGEST } from './read-blocks.ts'
import type { OpenSlot } from './sink-slot.ts'

/** Content that is made is cut into files of at most this: whoever loads them can do so one by one. Bytes. */
const LONGEST_MADE = 256 << 20

/** Whether digests of its blocks are kept in a work file; else its digest is taken as a whole. */
export const isListed = (open: OpenSlot): boolean => open.made === true || open.identity.size > WHOLE_DIGEST

export function largestDeflated(deflate: Deflate = 'auto', usual: number): number {
  if (typeof deflate === 'number') return deflate
  return deflate === 'always' ? Number.POSITIVE_INFINITY : usual
}

interface Limits {
  readonly format: Format
  readonly level: number
  readonly deflate?: Deflate | undefined
}

/** Whole blocks; what is to be deflated does not become longer than what is. */
export function longestMade({ level, deflate, format }: Limits): number {
  const most = level === 0 ? LONGEST_MADE : Math.min(LONGEST_MADE, largestDeflated(deflate, format.writer.deflateUpTo))
  return Math.max(2, Math.floor(most / BLOCK)) * BLOCK
}
