/** ArrayBuffers up to this size may be Node's pool. */
const SHARED = Math.max(Buffer.poolSize, 64 << 10)
/** A Buffer made with at least this many bytes can be released. */
export const OWN_FROM = SHARED + 1

/**
 * Gives the memory behind `bytes` back at once instead of leaving it to the collector, which lets tens of
 * megabytes of large buffers pile up in each thread. Nobody may touch the bytes, or anything else in the
 * same ArrayBuffer, afterwards.
 */
export function release(bytes: Uint8Array): void {
  const { buffer } = bytes
  // Small Buffers share a pool of Node's: those are left alone.
  if (!(buffer instanceof ArrayBuffer) || buffer.detached || buffer.byteLength <= SHARED) return
  buffer.transfer(0)
}
