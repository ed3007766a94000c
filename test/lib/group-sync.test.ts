import { afterAll, describe, expect, it } from 'vitest'
import { GroupSync } from '../../src/lib/group-sync.ts'
import { startProgram, type ProgramResult } from '../../src/lib/program.ts'
import { FakeClock } from '../helpers/fake-clock.ts'
import { temporaryFolder } from '../helpers/tree.ts'

const folder = temporaryFolder()
afterAll(() => folder[Symbol.dispose]())

/** Programs that end as told, and how often one was started and killed. */
function programs(result: () => Promise<ProgramResult>) {
  const seen = { started: 0, disposed: 0 }
  const start = () => {
    seen.started++
    return { result: result(), [Symbol.dispose]: () => void seen.disposed++ }
  }
  return { seen, start }
}

const NOTHING = Buffer.alloc(0)
const ending = (code: number) => async (): Promise<ProgramResult> => ({
  ...{ stdout: NOTHING, stderr: NOTHING, overflow: false },
  code,
})

describe('syncing a file system as a whole', () => {
  it('is done again as long as it works', async () => {
    const { seen, start } = programs(ending(0))
    const sync = new GroupSync('/bin/sync', start, new FakeClock({ sleep: 'hold' }))
    for (let i = 0; i < 3; i++) await sync.flush('/')
    expect(seen).toEqual({ started: 3, disposed: 3 })
  })

  it('is not tried again once it failed', async () => {
    const { seen, start } = programs(ending(1))
    const sync = new GroupSync('/bin/sync', start, new FakeClock({ sleep: 'hold' }))
    for (let i = 0; i < 3; i++) await sync.flush('/')
    expect(seen).toEqual({ started: 1, disposed: 1 })
  })

  it('is waited for no longer than the limit, also if the program cannot be killed', async () => {
    const clock = new FakeClock({ sleep: 'hold' })
    const { seen, start } = programs(() => new Promise(() => {}))
    const sync = new GroupSync('/bin/sync', start, clock)
    const flushed = sync.flush('/')
    clock.advance(2000)
    await flushed
    await sync.flush('/')
    expect(seen).toEqual({ started: 1, disposed: 1 })
  })

  it('is left out where there is no such program', async () => {
    const sync = new GroupSync('/nowhere/sync', startProgram)
    await sync.flush(folder.path)
    await sync.flush(folder.path)
  })
})
