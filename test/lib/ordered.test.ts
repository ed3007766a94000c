import { expect, it } from 'vitest'
import { ordered } from '../../src/lib/ordered.ts'

const after = <T>(turns: number, value: T): Promise<T> =>
  turns === 0 ? Promise.resolve(value) : new Promise<void>((r) => setImmediate(r)).then(() => after(turns - 1, value))

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

it('delivers in order whatever finishes first, with at most `width` in flight', async () => {
  let flying = 0
  let most = 0
  const work = async (n: number): Promise<number> => {
    most = Math.max(most, ++flying)
    await after(10 - n, null)
    flying--
    return n * 2
  }
  expect(await collect(ordered([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 3, work))).toEqual([0, 2, 4, 6, 8, 10, 12, 14, 16, 18])
  expect(most).toBe(3)
})

it('takes items only when there is room', async () => {
  let taken = 0
  function* items(): Generator<number> {
    for (;;) yield taken++
  }
  for await (const n of ordered(items(), 4, (x) => Promise.resolve(x))) if (n === 10) break
  expect(taken).toBe(14)
})

it('throws at the turn of the failure, after waiting for the rest, and closes the source', async () => {
  const log: string[] = []
  async function* items(): AsyncGenerator<number> {
    try {
      for (let n = 0; ; n++) yield n
    } finally {
      log.push('closed')
    }
  }
  const work = async (n: number): Promise<number> => {
    if (n === 1) throw new Error('one')
    await after(5, null)
    log.push(`done ${n}`)
    return n
  }
  const got: number[] = []
  const run = async (): Promise<void> => {
    for await (const n of ordered(items(), 3, work)) got.push(n)
  }
  await expect(run()).rejects.toThrow('one')
  expect(got).toEqual([0])
  expect(log).toContain('closed')
  expect(log).toContain('done 2')
})

it('passes on a source that fails, after what came before it', async () => {
  function* items(): Generator<number> {
    yield 1
    throw new Error('source')
  }
  await expect(collect(ordered(items(), 1, (n) => Promise.resolve(n)))).rejects.toThrow('source')
})
