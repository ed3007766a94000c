/**
 * Gives the memory behind `bytes` back at once instead of leaving it to the collector, which lets tens of
 * megabytes of large buffers pile up in each thread. Nobody may touch the bytes, or anything else in the
 * same ArrayBuffer, afterwards.
 */
export function release(bytes: Uint8Array): void {
  const { buffer } = bytes
  if (buffer instanceof ArrayBuffer && !buffer.detached) buffer.transfer(0)
}
