import type { Download, DownloadOptions, DownloadTarget } from './content-types.ts'
import { ConnectionError, RatchetError } from './errors.ts'
import { isObject, notNow, reasonOf, waitOf, type Target } from './transport.ts'
import type { JobHandle } from './types.ts'

/** `…/rpc` → the address of a download on the same server. */
export function downloadUrl(rpc: string, job: JobHandle, target: DownloadTarget): string {
  const name = 'part' in target ? encodeURIComponent(target.part) : `entry?path=${encodeURIComponent(target.entry)}`
  return rpc.replace(/rpc$/, `download/${encodeURIComponent(job)}/${name}`)
}

/** Where a ticket of a server leads. */
export const ticketUrl = (rpc: string, path: string): string => rpc.replace(/\/rpc$/, '') + path

/** One try. RatchetError: refused; ConnectionError: no answer, or none that can be relied on. */
export async function openDownload(
  target: Target,
  url: string,
  { from = 0, sha256, signal }: DownloadOptions,
): Promise<Download> {
  const goesOn = from > 0 && sha256 !== undefined
  const headers = {
    ...(target.token === '' ? {} : { authorization: `Bearer ${target.token}` }),
    'accept-encoding': 'identity',
    ...(goesOn ? { range: `bytes=${from}-`, 'if-range': `"${sha256}"` } : {}),
  }
  const init = { headers, redirect: 'error' as const, ...(signal === undefined ? {} : { signal }) }
  let response: Response
  try {
    response = await target.fetch(url, init)
  } catch (error) {
    signal?.throwIfAborted()
    throw new ConnectionError(`no answer from the server: ${reasonOf(error)}`, { cause: error })
  }
  if (response.status !== 200 && response.status !== 206) throw await refusalOf(response, target)
  return downloadOf(response, goesOn ? from : 0, signal)
}

function downloadOf(response: Response, asked: number, signal: AbortSignal | undefined): Download {
  const [, first, size] = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get('content-range') ?? '') ?? []
  const part = response.status === 206
  if (part && Number(first) !== asked) throw new ConnectionError('the server sends another range than was asked for')
  const length = Number(response.headers.get('content-length') ?? 'none')
  if (response.body === null || !Number.isSafeInteger(length))
    throw new ConnectionError('the server does not say how much it sends')
  const sha256 = /^"([0-9a-f]{64})"$/.exec(response.headers.get('etag') ?? '')?.[1] ?? null
  return {
    from: part ? asked : 0,
    size: part ? Number(size) : length,
    sha256,
    body: whole(response.body, length, signal),
  }
}

/** A body that ends early throws. */
async function* whole(
  body: ReadableStream<Uint8Array>,
  length: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  let left = length
  try {
    for await (const piece of body) {
      left -= piece.length
      yield piece
    }
  } catch (error) {
    signal?.throwIfAborted()
    throw new ConnectionError(`the connection broke: ${reasonOf(error)}`, { cause: error })
  }
  if (left !== 0) throw new ConnectionError(`the connection ended ${left} bytes before the end`)
}

async function refusalOf(response: Response, target: Target): Promise<Error> {
  const { status } = response
  const text = await response.text().catch(() => '') // only its status is known then
  if (status === 429 || status === 408) return notNow(status, waitOf(response.headers.get('retry-after'), target.clock))
  const error = errorIn(text)
  if (error === null && status >= 500) return new ConnectionError(`the server answered HTTP ${status}`)
  return error ?? new RatchetError(`the server answered HTTP ${status}`, 0)
}

function errorIn(text: string): RatchetError | null {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return null // a proxy's page
  }
  if (!isObject(value) || !isObject(value['error'])) return null
  const { code, message, data } = value['error']
  return new RatchetError(String(message), typeof code === 'number' ? code : 0, isObject(data) ? data : {})
}
