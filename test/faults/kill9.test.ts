import fs from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { BackupSpec } from '../../src/engine/spec.ts'
import { seeded } from '../helpers/random.ts'
import { Stepper } from './kill9-child.ts'
import { killLoop, type KillPlan, type KillReport } from './kill9-loop.ts'
import { LONG, SEED, contentOf, createJob, inFolder, makeCorpus, placeIn, strays } from './kill9-world.ts'
import { readBack } from './kill9-read.ts'

/** Kills of all variants together, at least. */
const KILLS = LONG ? 5000 : 150
const MINUTES = LONG ? 240 : 8

type Settings = Pick<BackupSpec, 'level' | 'partSize'> & Partial<Pick<BackupSpec, 'format'>>

interface Variant extends Settings {
  name: string
  slices: [number, ...number[]]
  when: KillPlan['when']
}

const DEFLATE: Settings = { level: 6, partSize: 0 }
const VARIANTS: Variant[] = [
  { name: 'deflated', ...DEFLATE, slices: [100, 200], when: 'mixed' },
  { name: 'stored', level: 0, partSize: 0, slices: [50, 100], when: 'mixed' },
  { name: 'in parts', level: 6, partSize: 1_500_000, slices: [100, 200], when: 'mixed' },
  { name: 'JPA in parts', level: 6, partSize: 1_500_000, format: 'jpa', slices: [100, 200], when: 'mixed' },
  { name: 'killed always after half a slice', ...DEFLATE, slices: [400], when: 'half' },
  { name: 'killed with a mean of one slice', ...DEFLATE, slices: [60], when: 'mean' },
]

interface Undisturbed {
  archive: Record<string, string>
  ms: number
}

let home = ''
let failed = false
const undisturbed = new Map<string, Undisturbed>()
const total = { kills: 0, repeated: 0, jobs: 0 }

const source = (): string => path.join(home, 'site')

function create(
  name: string,
  sliceMs: number,
  { level, partSize, format = 'zip' }: Settings,
): ReturnType<typeof placeIn> {
  const place = placeIn(home, name)
  createJob(place, source(), { level, partSize, format, pacing: { minMs: 0, maxMs: sliceMs, bias: 100 } })
  return place
}

/** The same job without a kill: what every archive has to be equal to, and how long it takes. */
async function reference(settings: Settings, sliceMs: number): Promise<Undisturbed> {
  const key = `${settings.format ?? 'zip'}-${settings.level}-${settings.partSize}-${sliceMs}`
  const known = undisturbed.get(key)
  if (known !== undefined) return known
  const place = create(`undisturbed-${key}`, sliceMs, settings)
  const child = new Stepper({ dataDir: place.dataDir, number: 1, expect: true })
  await child.heard('ready')
  const from = performance.now()
  child.go()
  await child.finished()
  const ms = performance.now() - from
  expect(child.replies.at(-1)?.status).toBe('completed')
  expect(strays(place, true)).toEqual([])
  const found = { archive: contentOf(place.output), ms }
  expect(readBack(place.output, 'site')).toEqual(contentOf(source()))
  undisturbed.set(key, found)
  return found
}

async function run(variant: Variant, seed: number): Promise<{ report: KillReport; whole: Undisturbed }> {
  const random = seeded(seed)
  const sliceMs = random.pick(variant.slices)
  const whole = await reference(variant, sliceMs)
  const place = create(`killed-${seed}`, sliceMs, variant)
  const report = await killLoop(place, { sliceMs, when: variant.when, threads: random.int(2) }, random)
  expect(report.last.status).toBe('completed')
  expect(contentOf(place.output)).toEqual(whole.archive)
  expect(strays(place, true)).toEqual([])
  fs.rmSync(path.dirname(place.dataDir), { recursive: true })
  total.kills += report.kills
  total.repeated += report.repeated
  total.jobs++
  return { report, whole }
}

/** A failed run keeps its folders and says how to see it again. */
async function replayable<T>(seed: number, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    failed = true
    throw new Error(`RATCHET_SEED=${seed}; what is left lies in ${home}`, { cause: error })
  }
}

beforeAll(async () => {
  home = await inFolder('the corpus', SEED, async (folder) => {
    const kept = `${folder}-kill9`
    makeCorpus(path.join(kept, 'site'), seeded(1), true)
    return kept
  })
})
afterAll(() => {
  console.log(`${total.kills} kills over ${total.jobs} jobs, ${total.repeated} replies given again (seed ${SEED})`)
  if (!failed) fs.rmSync(home, { recursive: true, force: true })
})

describe('a process killed with SIGKILL', () => {
  it.each(VARIANTS)('loses nothing: $name', { timeout: MINUTES * 60_000 }, async (variant) => {
    await replayable(SEED, async () => {
      const { report, whole } = await run(variant, SEED)
      const ratio = (report.workedMs / whole.ms).toFixed(2)
      console.log(`${variant.name}: ${report.kills} kills, ${report.last.steps} steps, ${ratio} × the undisturbed time`)
      expect(report.kills).toBeGreaterThan(0)
    })
  })

  it(`loses nothing in ${KILLS} kills`, { timeout: MINUTES * 60_000 }, async () => {
    for (let seed = SEED + 1; total.kills < KILLS; seed++) {
      const variant = VARIANTS[seed % VARIANTS.length]
      if (variant !== undefined) await replayable(seed, () => run(variant, seed))
    }
    expect(total.kills).toBeGreaterThanOrEqual(KILLS)
  })
})
