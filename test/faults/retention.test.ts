import { describe, expect, it } from 'vitest'
import type { BenchOptions } from '../helpers/bench-job.ts'
import { BenchJob } from '../helpers/bench-job.ts'
import { checkSame, golden, leftovers, published, readJob } from '../helpers/bench-check.ts'
import type { MemoryDisk } from '../helpers/memory-disk.ts'
import { copyAgain, fatesOf, isFile, olderFile, putOlder, putReader, stateOf } from '../helpers/older-backups.ts'
import { FakeClock } from '../helpers/fake-clock.ts'
import { enumerateFaults, type Enumeration } from './enumerate.ts'
import { ALL_KINDS, type FaultKind } from './kinds.ts'

/**
 * Processes die, the power fails and calls fail while older backups are removed: in the end the right ones are gone and
 * no others, and the backup is complete whatever happened.
 */
const LONG = process.env['RATCHET_LONG'] === '1'

const NOW = new FakeClock().wall()
const DAY = 24 * 3_600_000

/** With `keepLast: 2` the new one stays, and the newest of these. */
const LEAVING = [1, 5, 6]
const STAYING = { frozen: 2, 'in use': 3, 'of another profile': 7, newest: 9 } as const
const FOREIGN = 4
const FILES: Readonly<Record<number, readonly string[]>> = { 5: ['a part', 'and another', 'the last'] }

const OPTIONS: BenchOptions = { slices: 'some', source: { large: 0 }, spec: { retention: { keepLast: 2 } } }
const NUMBER = 10

function older(disk: MemoryDisk): MemoryDisk {
  for (const number of [1, 2, 3, 4, 5, 6, 7, 9]) {
    const files = FILES[number] ?? [`backup ${number}`]
    putOlder(disk, { number, time: NOW - (10 - number) * DAY, files, profile: number === 7 ? 2 : 1 })
  }
  putReader(disk, 8, olderFile(3), NOW - DAY, 'running')
  fatesOf(disk).freeze(2, true)
  copyAgain(disk, olderFile(FOREIGN), 'foreign!')
  copyAgain(disk, olderFile(6), 'backup 6')
  return disk.settle()
}

/** The job as it stands when its files have their names, and what its client has seen. */
async function atRetention(): Promise<BenchJob> {
  const job = new BenchJob({ ...OPTIONS, slices: 'each' })
  older(job.disk)
  await using process = job.boot()
  for (let view = await job.call(process); view.plan[view.stage] !== 'retention'; view = await job.call(process)) {
    if (view.finishedAt !== null) throw new Error(`it ended as ${view.status}`)
  }
  return job
}

const begun = atRetention()

async function build(slices: BenchOptions['slices'] = 'some'): Promise<BenchJob> {
  const ready = await begun
  const job = new BenchJob({ ...OPTIONS, slices: slices ?? 'some' }, ready.disk.kill().clone().settle())
  job.told = ready.told
  job.processes = ready.processes
  return job
}

const filesOf = (number: number): string[] =>
  (FILES[number] ?? ['']).map((_, index) => olderFile(number, index)).toSorted()

/** At any moment: nothing is gone that stays, and what is partly gone is known to go. */
function checkNone(disk: MemoryDisk): void {
  for (const [why, number] of Object.entries(STAYING))
    if (!isFile(disk, olderFile(number))) throw new Error(`backup ${number} is gone, which is ${why}`)
  if (!isFile(disk, olderFile(FOREIGN))) throw new Error('a foreign file is gone')
  for (const number of LEAVING) {
    const there = filesOf(number).filter((file) => isFile(disk, file)).length
    const state = stateOf(disk, number)
    if (there < filesOf(number).length && state !== 'going' && state !== 'gone')
      throw new Error(`files of backup ${number} are gone, and it says it is ${state}`)
    if (there > 0 && state === 'gone') throw new Error(`backup ${number} says it is gone, and is not`)
  }
}

async function checkBackup(disk: MemoryDisk): Promise<void> {
  const record = readJob(disk, NUMBER)
  if (record.status !== 'completed') throw new Error(`the backup is ${record.status}: ${record.error?.message ?? ''}`)
  const own = new Map([...published(disk)].filter(([name]) => !name.startsWith('older-')))
  checkSame(own, await golden(OPTIONS, NUMBER))
}

async function checkRight(disk: MemoryDisk): Promise<void> {
  await checkBackup(disk)
  checkNone(disk)
  for (const number of [...LEAVING, FOREIGN])
    if (stateOf(disk, number) !== 'gone') throw new Error(`backup ${number} is ${stateOf(disk, number)}`)
  if (stateOf(disk, STAYING.frozen) !== 'frozen') throw new Error('what was frozen is not')
}

/** Where the clearing up after the end was cut by the power, the next look at the job ends it. */
async function checkCleared(disk: MemoryDisk, job: BenchJob): Promise<void> {
  if (leftovers(disk, readJob(disk, NUMBER)).length === 0) return
  await using process = job.boot(disk)
  await job.call(process)
  const left = leftovers(disk, readJob(disk, NUMBER))
  if (left.length > 0) throw new Error(`left behind: ${left.join(', ')}`)
}

const STOPS = ['stop-before', 'stop-inside', 'stop-after'] as const

const crashes = (
  slices: BenchOptions['slices'],
  kinds: readonly FaultKind[],
  points: number,
): Enumeration<BenchJob> => ({
  build: () => build(slices),
  run: (disk, job) => job.drive(disk),
  checkCrashed: (disk) => checkNone(disk as MemoryDisk),
  async check(disk, job) {
    await checkRight(disk as MemoryDisk)
    await checkCleared(disk as MemoryDisk, job)
  },
  kinds,
  cuts: LONG ? 10 : 2,
  ...(LONG ? {} : { points }),
})

describe('while older backups are removed', () => {
  it.each([
    ['whole', 1000],
    ['each', 25],
  ] as const)(
    'a process dies at any call (slices: %s): the next ones remove what goes, and nothing else',
    { timeout: 600_000 },
    async (slices, points) => {
      const report = await enumerateFaults(crashes(slices, STOPS, points))
      expect(report.points['stop-before']?.of).toBeGreaterThan(60)
      for (const { of, tried } of Object.values(report.points))
        expect(tried).toBeGreaterThanOrEqual(Math.min(of, points) * 0.9)
    },
  )

  it('the power fails at any call, and whoever takes over dies too', { timeout: 3_600_000 }, async () => {
    await enumerateFaults(crashes('whole', ['power', 'twice'], 14))
  })

  it('a call fails: the backup is complete, and nothing is gone that stays', { timeout: 3_600_000 }, async () => {
    const kinds = ALL_KINDS.filter((kind) => kind.endsWith('-once'))
    await enumerateFaults({
      build: () => build(),
      run: (disk, job) => job.insist(disk, 12),
      async check(disk) {
        await checkBackup(disk as MemoryDisk)
        checkNone(disk as MemoryDisk)
      },
      kinds,
      closes: true,
      ...(LONG ? {} : { points: 12 }),
    })
  })
})
