import zlib from 'node:zlib'
import { damaged } from './zip-records.ts'

/** What `info: true` makes of the return value; Node's declaration does not show it. */
interface InflateInfo {
  readonly buffer: Buffer
  readonly engine: { readonly bytesWritten: number }
}

/**
 * Inflates one complete raw stream that must give exactly `size` bytes and end with its last input byte.
 * ARCHIVE_DAMAGED otherwise; no more than `size` bytes are ever produced. The result lies in at least `memory` bytes.
 */
export function inflateExactly(data: Uint8Array, size: number, memory = 0): Buffer {
  let result: InflateInfo
  try {
    result = zlib.inflateRawSync(data, {
      info: true,
      maxOutputLength: Math.max(1, size),
      chunkSize: Math.max(memory, size + 64), // room to see the end of the stream without a second buffer
    }) as unknown as InflateInfo
  } catch (error) {
    throw damaged('the compressed data does not decode to the announced length', error)
  }
  if (result.buffer.length !== size) {
    throw damaged(`the compressed data gives ${result.buffer.length} bytes; ${size} were announced`)
  }
  if (result.engine.bytesWritten !== data.length) {
    throw damaged(`${data.length - result.engine.bytesWritten} bytes follow the end of the compressed data`)
  }
  return result.buffer
}
