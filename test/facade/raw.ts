import http from 'node:http'
import net from 'node:net'

/** Requests as no well-behaved client sends them. */

export interface RawReply {
  status: number
  headers: http.IncomingHttpHeaders
  body: string
}

/** One request with exactly these headers (a pair list, so that names may repeat). */
export function request(
  url: string,
  options: { method?: string; path?: string; headers?: string[]; body?: string | Buffer } = {},
): Promise<RawReply> {
  const { hostname, port } = new URL(url)
  const { method = 'GET', path = '/', headers = [], body } = options
  return new Promise((resolve, reject) => {
    const outgoing = http.request(
      { hostname, port, method, path, headers, setHost: false, agent: false },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks).toString('utf8'),
          }),
        )
      },
    )
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

/** Sends text over a bare socket; what came back until the other side closed. */
export function talk(url: string, text: string): Promise<string> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve) => {
    const socket = net.connect(Number(port), hostname, () => socket.write(text))
    let got = ''
    socket.on('data', (chunk) => (got += chunk.toString('latin1')))
    socket.on('error', () => undefined) // a reset is an end as well
    socket.on('close', () => resolve(got))
  })
}
