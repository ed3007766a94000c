import { describe, expect, it } from 'vitest'
import path from 'node:path'
import { seeded } from '../helpers/random.ts'
import { Stepper } from './kill9-child.ts'
import { LONG, SEED, contentOf, createJob, inFolder, makeCorpus, placeIn, storeIn, strays } from './kill9-world.ts'
import type { StepperOrder } from './processes/protocol.ts'

const PROCESSES = 8
const ROUNDS = LONG ? 40 : 2
const MINUTES = LONG ? 60 : 5

interface Race {
  folder: string
  name: string
  sliceMs: number
  order: Partial<StepperOrder>
}

/** All step one job from the same moment on, until each has been told that it is over. */
async function race({ folder, name, sliceMs, order }: Race): Promise<{ all: Stepper[]; steps: number }> {
  const place = placeIn(folder, name)
  createJob(place, path.join(folder, 'site'), { pacing: { minMs: 0, maxMs: sliceMs, bias: 100 } })
  const all = Array.from({ length: PROCESSES }, () => {
    return new Stepper({ dataDir: place.dataDir, number: 1, trace: true, pauseMs: 5, ...order })
  })
  try {
    for (const child of all) await child.heard('ready')
    for (const child of all) child.go()
    for (const child of all) await child.finished()
  } finally {
    for (const child of all) await child.kill()
  }
  expect(strays(place, true)).toEqual([])
  return { all, steps: storeIn(place.dataDir).read(1).steps }
}

/** Times in which stages were worked in, by process. */
function working(all: readonly Stepper[]): { from: number; to: number; process: number }[] {
  return all.flatMap((child, process) => {
    const times = child.lines.filter((line) => line.event === 'enter' || line.event === 'leave')
    return times.flatMap((line, i) => {
      const next = times[i + 1]
      return line.event === 'enter' && next !== undefined ? [{ from: line.at, to: next.at, process }] : []
    })
  })
}

function expectOneAtATime(all: readonly Stepper[]): void {
  const spans = working(all).toSorted((a, b) => a.from - b.from)
  for (const [i, span] of spans.entries()) {
    const before = spans[i - 1]
    if (before !== undefined && before.process !== span.process) expect(span.from).toBeGreaterThanOrEqual(before.to)
  }
}

async function inCorpus<T>(what: string, work: (folder: string) => Promise<T>): Promise<T> {
  return inFolder(what, SEED, async (folder) => {
    makeCorpus(path.join(folder, 'site'), seeded(SEED), false)
    const place = placeIn(folder, 'alone')
    createJob(place, path.join(folder, 'site'))
    const child = new Stepper({ dataDir: place.dataDir, number: 1 })
    await child.heard('ready')
    child.go()
    await child.finished()
    return work(folder)
  })
}

const archiveOf = (folder: string, name: string): Record<string, string> => contentOf(placeIn(folder, name).output)

describe('eight processes on one job', () => {
  it('work one at a time; each step is answered once', { timeout: MINUTES * 60_000 }, async () => {
    await inCorpus('contention', async (folder) => {
      for (let round = 0; round < ROUNDS; round++) {
        const sliceMs = round % 2 === 0 ? 60 : 150
        const { all, steps } = await race({ folder, name: `any-${round}`, sliceMs, order: {} })
        expect(archiveOf(folder, `any-${round}`)).toEqual(archiveOf(folder, 'alone'))
        expectOneAtATime(all)
        const told = all.flatMap((child) => child.replies).filter((reply) => reply.status === 'running')
        expect(told.map((reply) => reply.steps).toSorted((a, b) => a - b)).toEqual(
          Array.from({ length: steps - 1 }, (_, i) => i + 1),
        )
        for (const child of all)
          expect(child.replies.at(-1)).toMatchObject({ steps, status: 'completed', percent: 100 })
        const codes = all.flatMap((child) => child.codes)
        expect(new Set(codes)).toEqual(new Set(['JOB_BUSY']))
        console.log(`${steps} steps, ${codes.length} × busy, slowest ${slowest(all)} ms`)
      }
    })
  })

  it('that await a certain step take it once and all hear of it', { timeout: MINUTES * 60_000 }, async () => {
    await inCorpus('contention', async (folder) => {
      for (let round = 0; round < ROUNDS; round++) {
        const name = `expect-${round}`
        const { all, steps } = await race({ folder, name, sliceMs: 60, order: { expect: true } })
        expect(archiveOf(folder, name)).toEqual(archiveOf(folder, 'alone'))
        expectOneAtATime(all)
        const told = new Set(all.flatMap((child) => child.replies).map((reply) => reply.steps))
        expect([...told].toSorted((a, b) => a - b)).toEqual(Array.from({ length: steps }, (_, i) => i + 1))
        for (const child of all) {
          expect(child.replies.at(-1)).toMatchObject({ steps, status: 'completed' })
          for (const [i, reply] of child.replies.entries()) {
            // What it asked for is what it was told: never a step further on.
            expect(reply.steps).toBeGreaterThan(child.replies[i - 1]?.steps ?? 0)
          }
        }
        const codes = new Set(all.flatMap((child) => child.codes))
        codes.delete('STEP_OUT_OF_ORDER')
        expect(codes).toEqual(new Set(['JOB_BUSY']))
      }
    })
  })

  it('are told that it is busy while the one works, not after it', { timeout: 60_000 }, async () => {
    await inCorpus('contention', async (folder) => {
      const place = placeIn(folder, 'busy')
      createJob(place, path.join(folder, 'site'), { pacing: { minMs: 0, maxMs: 60_000, bias: 100 } })
      const one = new Stepper({ dataDir: place.dataDir, number: 1, stopAt: { n: 2, call: 'mkdir' } })
      const others = Array.from(
        { length: PROCESSES - 1 },
        () => new Stepper({ dataDir: place.dataDir, number: 1, turns: 1 }),
      )
      try {
        await one.heard('ready')
        one.go()
        expect(await one.stopped()).toBe(true)
        for (const child of others) await child.heard('ready')
        for (const child of others) child.go()
        for (const child of others) await child.finished()
        for (const child of others) expect(child.codes).toEqual(['JOB_BUSY'])
        one.signal('SIGCONT')
        await one.finished()
      } finally {
        for (const child of [one, ...others]) await child.kill()
      }
      expect(one.replies).toMatchObject([{ steps: 1, status: 'completed' }])
      expect(archiveOf(folder, 'busy')).toEqual(archiveOf(folder, 'alone'))
      expect(strays(place, true)).toEqual([])
    })
  })
})

/** How long the slowest refusal took. Milliseconds. */
function slowest(all: readonly Stepper[]): number {
  const times = all.flatMap((child) => child.lines.map((line) => (line.event === 'error' ? line.at - line.from : 0)))
  return Math.round(Math.max(...times))
}
