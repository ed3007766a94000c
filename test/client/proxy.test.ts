import net from 'node:net'
import { expect, test } from 'vitest'
import { RatchetClient } from '../../src/client/client.ts'
import { openWorld, saveStandard, type World } from '../facade/world.ts'
import { fakeClock } from './fakes.ts'

/**
 * Real sockets between client and server. `cut(n)` says after how many bytes of which direction the
 * n-th connection is reset; null: never.
 */
type Cut = { to: 'server' | 'client'; after: number } | null

async function proxy(
  world: World,
  cut: (n: number) => Cut,
): Promise<{ url: string; close(): void; used: () => number }> {
  let connections = 0
  const sockets = new Set<net.Socket>()
  const server = net.createServer((near) => {
    const plan = cut(connections++)
    const far = net.connect(world.server.port, '127.0.0.1')
    const counted = { server: 0, client: 0 }
    const forward = (from: net.Socket, to: net.Socket, direction: 'server' | 'client'): void => {
      from.on('data', (chunk: Buffer) => {
        counted[direction] += chunk.length
        if (plan?.to === direction && counted[direction] >= plan.after) {
          near.resetAndDestroy()
          far.destroy()
        } else to.write(chunk)
      })
      from.on('close', () => to.destroy())
      from.on('error', () => to.destroy())
      sockets.add(from)
    }
    forward(near, far, 'server')
    forward(far, near, 'client')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as net.AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    used: () => connections,
    close() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

test('connections reset before, within and after each exchange: every step once', async () => {
  await using world = await openWorld({ steps: 20 })
  saveStandard(world)
  const cuts: Cut[] = [
    { to: 'server', after: 1 },
    { to: 'client', after: 1 },
    { to: 'client', after: 900 },
    { to: 'client', after: 2_500 },
  ]
  const between = await proxy(world, (n) => cuts[n % cuts.length] ?? null)
  try {
    const client = new RatchetClient({
      url: between.url,
      token: world.token,
      clock: fakeClock(),
      retry: { giveUpMs: 1e9 },
    })
    expect((await client.run()).stepNumber).toBe(20)
    expect(between.used()).toBeGreaterThan(10)
    expect(world.engine.count).toBe(1)
    expect(world.engine.stepsOf(1)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1))
  } finally {
    between.close()
  }
})
