import type { IncomingMessage } from 'node:http'
import { BackupError } from '../lib/errors.ts'

export const MAX_BODY = 1024 * 1024

/** A body that comes slower than this, bytes a second, is not waited for after so many seconds. */
const LEAST = 1024
const PATIENCE = 5

/**
 * The body as text, holding at most `limit` bytes: TOO_LARGE as soon as more is announced or comes,
 * after which the rest is read and thrown away, so that the caller can hear the answer. The server's
 * request time limit ends bodies that never end. TIMED_OUT when it trickles, BAD_REQUEST when it is not UTF-8.
 */
export function readBody(request: IncomingMessage, limit = MAX_BODY): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    let seconds = 0
    const watch = setInterval(() => {
      if (++seconds > PATIENCE && size < (seconds - PATIENCE) * LEAST)
        refuse(new BackupError('TIMED_OUT', `the body comes slower than ${LEAST} bytes a second`))
    }, 1_000)
    const refuse = (error: BackupError): void => {
      clearInterval(watch)
      request.off('data', take).off('end', finish)
      request.resume()
      reject(error)
    }
    const tooLarge = (): void => refuse(new BackupError('TOO_LARGE', `the body is larger than ${limit} bytes`))
    const take = (chunk: Buffer): void => {
      size += chunk.length
      if (size > limit) return tooLarge()
      chunks.push(chunk)
    }
    const finish = (): void => {
      clearInterval(watch)
      try {
        resolve(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(chunks)))
      } catch (error) {
        refuse(new BackupError('BAD_REQUEST', 'the body is not UTF-8', { cause: error }))
      }
    }
    const lost = (): void => refuse(new BackupError('BAD_REQUEST', 'the connection ended before the body did'))
    if (Number(request.headers['content-length'] ?? 0) > limit) return tooLarge()
    request.on('data', take).on('end', finish).on('error', lost).on('close', lost)
  })
}
