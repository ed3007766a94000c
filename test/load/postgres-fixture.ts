import net from 'node:net'
import type { PostgresDumpOptions } from '../../src/dump/postgres/postgres-dump.ts'
import { PostgresDump } from '../../src/dump/postgres/postgres-dump.ts'
import type { LoadOrder, SqlLoad, Standing } from '../../src/load/sql-load.ts'
import { PostgresLoad } from '../../src/load/postgres/postgres-load.ts'
import { dumpItems } from '../../src/stages/server-dump-feed.ts'
import type { PostgresServer } from '../servers/postgres.ts'

export const BLOCK = 1 << 20
/** After this, a server has nothing to say. */
const SILENT_MS = 300

/** A file of a dump, as the archive holds it. */
export interface DumpFile {
  readonly name: string
  readonly rows: boolean
  readonly bytes: Buffer
}

/** What the stage makes of a database, kept in memory. `longest`: bytes of a file at most, whole blocks. */
export async function dumped(
  server: PostgresServer,
  database: string,
  options: PostgresDumpOptions = { consistency: 'snapshot' },
  longest = 1 << 30,
): Promise<{ files: DumpFile[]; order: string }> {
  const target = { socket: server.socket, port: server.port, user: 'postgres', password: '', database }
  await using dump = await PostgresDump.open(target, options)
  const start = { done: new Set<string>(), section: null, unit: null, made: 0, blocks: 0 }
  const files: DumpFile[] = []
  for await (const item of dumpItems({ dump, name: 'x', longest, createdAt: 0, start })) {
    if (item.type !== 'entry') continue
    const blocks: Buffer[] = []
    const read = item.made?.blocks(() => Buffer.alloc(BLOCK))
    if (read === undefined) continue
    for await (const block of read) blocks.push(Buffer.from(block.memory.subarray(0, block.length)))
    const name = item.path.toString().split('/').at(-1) ?? ''
    files.push({ name, rows: !name.includes('definitions'), bytes: Buffer.concat(blocks) })
  }
  return { files, order: dump.orderFile(files.map(({ name }) => name)) }
}

export interface Driving {
  /** Bytes of a piece; what is not a block is no place to go on from. */
  readonly piece?: number
  /** Pieces between two commits. */
  readonly commit?: number
  /** Told before each piece. */
  readonly before?: (file: number, at: number) => void
}

/** What the stage does: from where the database stands to the end of the files. */
export async function drive(load: SqlLoad, files: readonly DumpFile[], driving: Driving = {}): Promise<Standing> {
  const standing = await load.prepare()
  const memory = Buffer.alloc(driving.piece ?? BLOCK)
  for (const [index, { name, rows, bytes }] of files.entries()) {
    if (index < standing.file) continue
    const from = rows && index === standing.file ? Math.floor(standing.at / BLOCK) * BLOCK : 0
    const head = from > 0 ? bytes.subarray(0, BLOCK) : null
    const file = await load.open({ index, name, rows, more: false, from, head })
    let pieces = 0
    for (let at = from; at < bytes.length; at += memory.length) {
      driving.before?.(index, at)
      const length = bytes.copy(memory, 0, at)
      await file.take(memory.subarray(0, length))
      // What is lent is used again.
      memory.fill('x')
      if (++pieces % (driving.commit ?? 4) === 0) await file.commit()
    }
    await file.end()
    await file.commit()
  }
  return standing
}

export async function finished(load: SqlLoad): Promise<string | null> {
  const steps = load.finish()
  for (;;) {
    const step = await steps.next()
    if (step.done === true) return step.value
  }
}

export function orderFor(server: PostgresServer, database: string, changes: Partial<LoadOrder> = {}): LoadOrder {
  const target = { socket: server.socket, port: server.port, user: 'loader', password: '', database }
  return { target, mode: 'new', id: 'load-1', trusted: true, ...changes }
}

/** From the beginning, or from wherever it stands, to the end. */
export async function loaded(order: LoadOrder, files: readonly DumpFile[], driving: Driving = {}) {
  await using load = await PostgresLoad.open(order)
  const standing = await drive(load, files, driving)
  const kept = await finished(load)
  return { standing, kept, lacks: load.takeLacks() }
}

/**
 * Between a load and its server: counts what the load sends, and cuts the wire at a given one of them. `lost`: before
 * the server hears of it; `heard`: the server does what was said, and nobody is told.
 */
export class Wire implements AsyncDisposable {
  readonly #server: net.Server
  readonly #sockets = new Set<net.Socket>()
  sent = 0
  cutAt = Number.POSITIVE_INFINITY
  how: 'lost' | 'heard' = 'lost'
  cut = false

  private constructor(server: net.Server) {
    this.#server = server
  }

  static async to(server: PostgresServer): Promise<Wire> {
    const listener = net.createServer()
    const wire = new Wire(listener)
    listener.on('connection', (client) => wire.#join(client, server))
    listener.listen(0, '127.0.0.1')
    await new Promise((resolve) => listener.once('listening', resolve))
    return wire
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port
  }

  #join(client: net.Socket, { port }: PostgresServer): void {
    // Whoever was cut off reaches nobody.
    if (this.cut) return void client.on('error', () => client.destroy()).destroy()
    const there = net.connect({ host: '127.0.0.1', port })
    for (const socket of [client, there]) {
      this.#sockets.add(socket)
      socket.on('error', () => socket.destroy()).on('close', () => (socket === client ? there : client).destroy())
    }
    client.on('data', (bytes) => {
      this.sent++
      if (this.cut) return
      if (this.sent < this.cutAt) {
        there.write(bytes)
        return
      }
      this.cut = true
      if (this.how === 'lost') return this.end()
      there.write(bytes)
      there.once('data', () => this.end())
      // It may have been a part of something, to which nobody answers.
      const all = [...this.#sockets]
      setTimeout(() => all.forEach((socket) => socket.destroy()), SILENT_MS)
    })
    there.on('data', (bytes) => {
      if (!this.cut) client.write(bytes)
    })
  }

  /** All connections, without a goodbye. */
  end(): void {
    for (const socket of this.#sockets) socket.destroy()
    this.#sockets.clear()
  }

  /** As if nothing had happened. */
  again(cutAt: number, how: 'lost' | 'heard'): void {
    this.end()
    this.sent = 0
    this.cut = false
    this.cutAt = cutAt
    this.how = how
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.end()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}
