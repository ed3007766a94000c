import net from 'node:net'
import path from 'node:path'
import { hostOf, portOf, type PostgresTarget } from './target.ts'

/** AuthenticationOk, MD5Password, SASL and its two continuations: none of them asks for the password itself. */
const HARMLESS: ReadonlySet<number> = new Set([0, 5, 10, 11, 12])
const [AUTHENTICATION, ERROR, OLDER_PROTOCOL] = [0x52, 0x45, 0x76]
/** Longer than any message before it is known who asks. */
const MOST = 1 << 16

/**
 * Stands between a program of the vendor's and the server, and ends the connection where the server asks for the
 * password itself: programs before version 16 cannot be told not to give it. For connections without TLS only.
 */
export class AuthWatch implements AsyncDisposable {
  readonly #server: net.Server
  readonly #sockets = new Set<net.Socket>()
  /** Whether the server asked. */
  refused = false

  private constructor(server: net.Server) {
    this.#server = server
  }

  /** Listens in a folder that only this account can enter, as a server of that port would. */
  static async listen(target: PostgresTarget, folder: string): Promise<AuthWatch> {
    const server = net.createServer({ allowHalfOpen: true })
    const watch = new AuthWatch(server)
    server.on('connection', (socket) => watch.#join(socket, target))
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(socketPath(folder, portOf(target)), resolve)
    })
    return watch
  }

  #join(program: net.Socket, target: PostgresTarget): void {
    const { socket } = target
    const port = portOf(target)
    const there = net.connect(
      socket === undefined
        ? { port, host: hostOf(target), allowHalfOpen: true }
        : { path: socketPath(hostOf(target), port), allowHalfOpen: true },
    )
    const end = (): void => {
      program.destroy()
      there.destroy()
    }
    for (const one of [program, there]) {
      this.#sockets.add(one)
      one.setTimeout(0)
      // Either side going is told to the other; what is behind it, the program says itself.
      one.on('error', end).on('close', end)
    }
    const greeting = new Greeting()
    const look = (bytes: Buffer): void => {
      const verdict = greeting.next(bytes)
      if (verdict === 'refused') {
        this.refused = true
        end()
        return
      }
      program.write(bytes)
      if (verdict === 'over') {
        there.off('data', look)
        there.pipe(program)
      }
    }
    there.on('data', look)
    program.pipe(there)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }
}

const socketPath = (folder: string, port: number): string => path.join(folder, `.s.PGSQL.${port}`)

/** What a server says before it lets somebody in. */
class Greeting {
  #bytes = Buffer.alloc(0)

  next(chunk: Buffer): 'more' | 'over' | 'refused' {
    this.#bytes = Buffer.concat([this.#bytes, chunk])
    while (this.#bytes.length >= 5) {
      const [kind] = this.#bytes
      if (kind === ERROR) return 'over'
      const length = this.#bytes.readUInt32BE(1) + 1
      if (length > MOST || length < 9) return 'refused'
      if (this.#bytes.length < length) return 'more'
      const asked = this.#bytes.readUInt32BE(5)
      if (kind === AUTHENTICATION ? !HARMLESS.has(asked) : kind !== OLDER_PROTOCOL) return 'refused'
      if (kind === AUTHENTICATION && asked === 0) return 'over'
      this.#bytes = this.#bytes.subarray(length)
    }
    return 'more'
  }
}
