import { expect, test } from 'vitest'
import { Fates } from '../../src/engine/fate.ts'
import { jobPaths } from '../../src/engine/paths.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { ensureFolder } from '../../src/lib/durable-file.ts'
import { Revisions } from '../../src/lib/revisions.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'

const GONE = { state: 'gone', at: 5, by: 'user', reason: 'asked' }

/** What is read where `value` was written; as JSON, since not all of it can be made here. */
function read(json: string): unknown {
  const disk = new MemoryDisk()
  const paths = jobPaths('/data')
  ensureFolder(disk, paths.job(1))
  const value: unknown = JSON.parse(json)
  new Revisions(disk, paths.job(1), 'fate').put(null, value)
  return new Fates(disk, systemClock, paths).of(1)
}

test.each([{ state: 'kept' }, { state: 'frozen', at: 3 }, { ...GONE, state: 'going' }, { ...GONE, by: 'retention' }])(
  'what was decided is read without what a later release added: %o',
  (fate) => {
    expect(read(JSON.stringify({ ...fate, later: 1 }))).toEqual(fate)
  },
)

test.each([
  null,
  [],
  'kept',
  {},
  { state: 'sold', at: 1 },
  { state: 'frozen' },
  { state: 'frozen', at: '3' },
  { ...GONE, by: 'nobody' },
  { ...GONE, reason: 1 },
  { ...GONE, at: null },
])('what a later release decided is not guessed at: %o', (fate) => {
  expect(() => read(JSON.stringify(fate))).toThrow('a later release')
})
