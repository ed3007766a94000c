import fs from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { seeded, type Random } from '../helpers/random.ts'
import { Stepper } from './kill9-child.ts'
import {
  LONG,
  SEED,
  contentOf,
  createJob,
  inFolder,
  makeCorpus,
  placeIn,
  strays,
  storeIn,
  type Place,
} from './kill9-world.ts'
import type { StopAt } from './processes/protocol.ts'

const ROUNDS = LONG ? 200 : Number(process.env['R'] ?? 20)
const TWO = LONG ? 60 : 6
const MINUTES = LONG ? 90 : 6
const SLICE_MS = 80
/** Short, so that a frozen owner's time is soon up. */
const GRACE_MS = 200

/** Whoever may write to the job, in the order in which they took it. */
interface Scene {
  readonly place: Place
  readonly frozen: Stepper[]
  readonly last: Stepper
}

function stepper(place: Place, stopAt?: StopAt): Stepper {
  const order = { dataDir: place.dataDir, number: 1, graceMs: GRACE_MS, turns: 2000 }
  return new Stepper(stopAt === undefined ? order : { ...order, stopAt })
}

/** Owners stop one after the other; the last one takes over when their time is up, and finishes. Null if one ended before. */
async function scene(place: Place, stops: readonly StopAt[], all: Stepper[]): Promise<Scene | null> {
  const frozen: Stepper[] = []
  const last = stepper(place)
  all.push(last)
  for (const stopAt of stops) {
    const owner = stepper(place, stopAt)
    all.push(owner)
    await owner.heard('ready')
    owner.go()
    if (!(await owner.stopped())) return null
    frozen.push(owner)
  }
  await last.heard('ready')
  last.go()
  await last.finished()
  return { place, frozen, last }
}

interface Outcome {
  /** The folders were taken away from a frozen owner. */
  moved: boolean
  /** Owners who were told that they had lost the job. */
  lost: number
}

/** All that lies in the job's places but its log, which is read by people alone. */
function visible(place: Place): Record<string, string> {
  const found = Object.entries(contentOf(place.dataDir))
  // The record counts by what it says: clearing up after the end may put the same under a later epoch.
  const rest = Object.fromEntries(found.filter(([name]) => !/^jobs\/1\/(log\.txt|state-\d+\.json)$/.test(name)))
  const { lease: _, ...said } = storeIn(place.dataDir).read(1)
  return {
    ...rest,
    record: JSON.stringify(said),
    ...Object.fromEntries(Object.entries(contentOf(place.output)).map(([k, v]) => [`out/${k}`, v])),
  }
}

const logOf = (place: Place): string[] =>
  fs.readFileSync(path.join(place.dataDir, 'jobs/1/log.txt'), 'utf8').split('\n')

/** The late owners wake: nothing they do can be seen, and what they say is right. */
async function wake({ place, frozen, last }: Scene, random: Random): Promise<Outcome> {
  const before = visible(place)
  const told = logOf(place).slice(0, -1)
  for (const owner of random.chance(0.5) ? frozen : frozen.toReversed()) {
    owner.signal('SIGCONT')
    if (random.chance(0.5)) await owner.finished()
  }
  for (const owner of frozen) await owner.finished()
  expect(visible(place)).toEqual(before)
  const after = new Set(logOf(place))
  expect(told.filter((line) => !after.has(line))).toEqual([])
  expectNumbers([...frozen, last], storeIn(place.dataDir).read(1).steps)
  const errors = frozen.flatMap((owner) => owner.lines.filter((line) => line.event === 'error'))
  expect(errors.filter(({ code }) => code !== 'LEASE_LOST' && code !== 'JOB_BUSY')).toEqual([])
  const lost = frozen.filter((owner) => owner.codes.includes('LEASE_LOST')).length
  return { moved: storeIn(place.dataDir).read(1).house > 1, lost }
}

/** No step is answered twice; one without an answer was answered by `LEASE_LOST`. */
function expectNumbers(all: readonly Stepper[], steps: number): void {
  const replies = all.flatMap((owner) => owner.replies)
  const told = replies.filter((reply) => reply.status === 'running').map((reply) => reply.steps)
  expect(new Set(told).size).toBe(told.length)
  const missing = Array.from({ length: steps - 1 }, (_, i) => i + 1).filter((step) => !told.includes(step))
  const lost = all.flatMap((owner) => owner.codes).filter((code) => code === 'LEASE_LOST')
  expect(missing.length).toBeLessThanOrEqual(lost.length)
  for (const reply of replies.filter(({ status }) => status !== 'running')) {
    expect(reply).toMatchObject({ steps, status: 'completed', percent: 100 })
  }
}

interface Round {
  folder: string
  seed: number
  settings: { level: number; partSize: number }
  whole: Record<string, string>
}

/** One round; null if an owner had ended before it could be stopped. */
async function round({ folder, seed, settings, whole }: Round, stops: readonly StopAt[]): Promise<Outcome | null> {
  const random = seeded(seed)
  const place = placeIn(folder, `round-${seed}`)
  createJob(place, path.join(folder, 'site'), { ...settings, pacing: { minMs: 0, maxMs: SLICE_MS, bias: 100 } })
  const all: Stepper[] = []
  try {
    const played = await scene(place, stops, all)
    if (played === null) return null // they end as if nobody had been there
    expect(contentOf(place.output)).toEqual(whole)
    expect(strays(place, true)).toEqual([])
    const outcome = await wake(played, random)
    expect(strays(place, true)).toEqual([])
    return outcome
  } catch (error) {
    throw new Error(`round ${seed}, stopped at ${JSON.stringify(stops)}`, { cause: error })
  } finally {
    for (const owner of all) await owner.kill()
  }
}

async function reference(folder: string, settings: Round['settings']): Promise<Record<string, string>> {
  const place = placeIn(folder, `whole-${settings.level}-${settings.partSize}`)
  createJob(place, path.join(folder, 'site'), settings)
  const child = stepper(place)
  await child.heard('ready')
  child.go()
  await child.finished()
  expect(child.replies.at(-1)?.status).toBe('completed')
  return contentOf(place.output)
}

const SETTINGS: Round['settings'][] = [
  { level: 6, partSize: 0 },
  { level: 6, partSize: 900_000 },
]

/** Rounds until `wanted` of them came about: where a job ends earlier than expected there is nobody to wake. */
async function rounds(wanted: number, stopsFor: (random: Random) => StopAt[]): Promise<void> {
  return inFolder('frozen owners', SEED, async (folder) => {
    makeCorpus(path.join(folder, 'site'), seeded(SEED), false)
    const wholes = [
      await reference(folder, { level: 6, partSize: 0 }),
      await reference(folder, { level: 6, partSize: 900_000 }),
    ]
    const sum = { rounds: 0, moved: 0, lost: 0 }
    for (let seed = SEED; sum.rounds < wanted; seed++) {
      const i = seed % SETTINGS.length
      const [settings, whole] = [SETTINGS[i], wholes[i]]
      if (settings === undefined || whole === undefined) throw new Error('no such settings')
      const outcome = await round({ folder, seed, settings, whole }, stopsFor(seeded(seed + 7)))
      fs.rmSync(path.join(folder, `round-${seed}`), { recursive: true })
      if (outcome !== null) {
        sum.rounds++
        sum.moved += Number(outcome.moved)
        sum.lost += outcome.lost
      }
      if (seed - SEED > 20 * wanted) throw new Error(`only ${sum.rounds} rounds came about`)
    }
    console.log(`${sum.rounds} rounds, ${sum.moved} houses moved, ${sum.lost} owners told so`)
    expect(sum.moved).toBeGreaterThan(wanted / 3)
  })
}

describe('an owner that is frozen past its lease', { timeout: MINUTES * 60_000 }, () => {
  it('changes nothing when it wakes, wherever it was stopped', async () => {
    await rounds(ROUNDS, (random) => [{ n: 1 + random.int(300) }])
  })

  it('changes nothing when it wakes while the files get their names', async () => {
    const calls = ['link', 'link', 'fsync', 'unlink', 'rename', 'write']
    await rounds(LONG ? 60 : 6, (random) => {
      const call = calls[random.int(calls.length)] ?? 'link'
      return call === 'link' ? [{ n: 1 + random.int(2), call, path: '/out/site' }] : [{ n: 30 + random.int(60), call }]
    })
  })

  it('nor do two of them', async () => {
    await rounds(TWO, (random) => [{ n: 1 + random.int(120) }, { n: 1 + random.int(60) }])
  })
})
