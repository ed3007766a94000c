import { describe, expect, it } from 'vitest'
import type { Steps } from '../../src/engine/stage.ts'
import { replaceFile, readFileIfThere } from '../../src/lib/durable-file.ts'
import type { MemoryContext } from '../helpers/memory-context.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import { MemoryWork, type Tails } from '../helpers/memory-work.ts'
import { seeded } from '../helpers/random.ts'
import { digested, resumable, runCut, type Ending, type ResumableRun } from './resumable.ts'

/**
 * A small stage with all that a stage may do: it appends lines to a work file, keeps a header with a
 * hole that it fills at the end, now and then thinks better of it and goes back, keeps a warm thing,
 * and at the end publishes a pointer after a barrier. The variants break one law each.
 */
type Mistake =
  | 'slot after the yield'
  | 'state outside the slot'
  | 'no barrier after going back'
  | 'pointer before its bytes'
  | 'pointer without sync'
  | 'counts twice'
  | 'relies on warm'
  | 'begins with an idle yield'
  | 'work in finally'

const LINES = 25

interface Slot {
  line: number
  wentBack: boolean
  /** Drawn anew whenever the file is closed, as a nonce would be. */
  seal: string
}

let drawn = 0

async function* stage(ctx: MemoryContext, mistake: Mistake | null): Steps {
  const slot = ctx.slot<Slot>('demo', () => ({ line: 0, wentBack: false, seal: '' }))
  const file = ctx.file('lines', 'out')
  let outside = 0
  try {
    if (mistake === 'begins with an idle yield') yield { step: 'looking around' }
    if (file.length === 0) file.write(Buffer.from('lines: ??\n'))
    while (slot.line < LINES) {
      outside = mistake === 'state outside the slot' ? outside + 1 : slot.line + 1
      file.write(Buffer.from(`line ${outside}${warmth(ctx, mistake)}\n`))
      if (mistake === 'slot after the yield') yield { step: 'lines' }
      ctx.count({ entries: 1 })
      if (mistake === 'counts twice') yield { step: 'counted, not yet noted' }
      slot.line++
      if (slot.line === 12 && !slot.wentBack) yield* goBack(ctx, slot, mistake)
      yield { step: 'lines', done: slot.line, total: LINES }
    }
    yield* publish(ctx, slot, mistake)
  } finally {
    if (mistake === 'work in finally') slot.line++
  }
}

function warmth(ctx: MemoryContext, mistake: Mistake | null): string {
  const warm = ctx.keep('warm', () => ({ uses: 0, [Symbol.dispose]() {} }))
  warm.uses++
  return mistake === 'relies on warm' ? ` of ${warm.uses}` : ''
}

async function* goBack(ctx: MemoryContext, slot: Slot, mistake: Mistake | null): Steps {
  const file = ctx.file('lines', 'out')
  slot.wentBack = true
  slot.line = 3
  file.rewind(Buffer.byteLength('lines: ??\nline 1\nline 2\nline 3\n'))
  if (mistake !== 'no barrier after going back') yield { step: 'going back', durable: true }
}

async function* publish(ctx: MemoryContext, slot: Slot, mistake: Mistake | null): Steps {
  const file = ctx.file('lines', 'out')
  if (slot.seal === '') {
    slot.seal = `~${++drawn}~`
    file.fill(7, Buffer.from(String(slot.line)))
    file.write(Buffer.from(`end ${slot.seal}\n`))
    if (mistake === 'pointer before its bytes') point(ctx, slot.seal, mistake)
    yield { step: 'closing', durable: true }
  }
  point(ctx, slot.seal, mistake)
}

function point(ctx: MemoryContext, content: string, mistake: Mistake | null): void {
  if (readFileIfThere(ctx.disk, '/out/pointer') !== null) return
  if (mistake !== 'pointer without sync') return replaceFile(ctx.disk, '/out/pointer', Buffer.from(content))
  const fd = ctx.disk.open('/out/pointer', 'create')
  ctx.disk.write(fd, Buffer.from(content), 0, content.length, 0)
  ctx.disk.close(fd)
}

function run(mistake: Mistake | null): ResumableRun {
  return {
    work: new MemoryWork(),
    steps: (ctx) => stage(ctx, mistake),
    result(work) {
      const lines = work.content('lines', 'out').toString()
      const pointer = readFileIfThere(work.disk, '/out/pointer')?.toString() ?? 'none'
      const same = (text: string): string => text.replaceAll(/~\d+~/g, '~')
      return { lines: same(lines), agrees: lines.endsWith(`${pointer}\n`), totals: work.committed.totals }
    },
  }
}

resumable('a small stage', () => run(null), { power: true })

const ENDINGS: readonly Ending[] = ['stop', 'closing', 'after', 'kill']
const TAILS: readonly Tails[] = ['noise', 'cut', 'kept', 'power']

/** The ways of cutting at one point, and of cutting always, under which the result differs or the run fails. */
async function differing(mistake: Mistake | null, until: string): Promise<Set<string>> {
  const whole = run(mistake)
  const points = await runCut(whole, null)
  const expected = JSON.stringify(digested(whole.result(whole.work)))
  const found = new Set<string>()
  const attempt = async (ending: Ending, tails: Tails, at: number, always: boolean): Promise<void> => {
    const cut = run(mistake)
    cut.work.random = seeded(at)
    try {
      await runCut(cut, { ending, tails, at: (total, inProcess) => (always ? inProcess === at : total === at) })
      if (JSON.stringify(digested(cut.result(cut.work))) !== expected) found.add(always ? 'always' : ending)
    } catch (error) {
      found.add(String(error).includes('no progress') ? 'no progress' : ending)
    }
  }
  for (const ending of ENDINGS) {
    if (found.has(until)) break
    for (const tails of TAILS) for (let at = 1; at <= points; at++) await attempt(ending, tails, at, false)
    if (ending !== 'kill') await attempt(ending, 'noise', 1, true)
  }
  return found
}

describe('the suite itself', () => {
  it('lets an honest stage pass', async () => {
    expect(await differing(null, 'nothing')).toEqual(new Set())
  })
  it.each<[Mistake, string]>([
    ['slot after the yield', 'stop'],
    ['state outside the slot', 'stop'],
    ['no barrier after going back', 'stop'],
    ['pointer before its bytes', 'kill'],
    ['pointer without sync', 'stop'],
    ['counts twice', 'stop'],
    ['relies on warm', 'after'],
    ['begins with an idle yield', 'no progress'],
    ['work in finally', 'stop'],
  ])('finds: %s', async (mistake, where) => {
    const found = await differing(mistake, where)
    expect([...found]).toContain(where)
  })
})

describe('work without an engine', () => {
  const write = (ctx: MemoryContext, name: string, text: string): void => ctx.file(name).write(Buffer.from(text))

  it('goes back to the last commit: slots, totals, parts, warnings, files', async () => {
    const work = new MemoryWork()
    const first = work.open()
    first.slot('s', () => ({ n: 1 }))
    write(first, 'a', 'committed')
    first.part('p').files = 1
    await work.commit()
    first.slot('s', () => ({ n: 0 })).n = 2
    write(first, 'a', ', and not')
    write(first, 'b', 'never')
    first.count({ entries: 5 })
    first.warn('retry', 'forgotten')
    first.part('p').files = 9
    work.crash('kept')
    const next = work.open()
    expect(next.slot('s', () => ({ n: 0 }))).toEqual({ n: 1 })
    expect(next.job.totals.entries).toBe(0)
    expect(next.job.warnings.total).toBe(0)
    expect(next.part('p').files).toBe(1)
    expect(next.file('a').read(0, 100).toString()).toBe('committed')
    expect(next.file('b').length).toBe(0)
  })
  it.each<[Tails, RegExp, RegExp | null]>([
    ['noise', /^committed[^]+$/, /^(?!never)/],
    ['cut', /^committed$/, null],
    ['kept', /^committed, and not$/, /^never$/],
  ])('leaves tails as told: %s', async (tails, a, b) => {
    const work = new MemoryWork()
    const ctx = work.open()
    write(ctx, 'a', 'committed')
    await work.commit()
    write(ctx, 'a', ', and not')
    write(ctx, 'b', 'never')
    for (const name of ['a', 'b']) ctx.file(name).flush()
    work.crash(tails)
    expect(readFileIfThere(work.disk, '/data/job/a')?.toString('latin1')).toMatch(a)
    const stray = readFileIfThere(work.disk, '/data/job/b')
    if (b === null) expect(stray).toBeNull()
    else expect(stray?.toString('latin1')).toMatch(b)
    expect(work.content('a').toString()).toBe('committed')
  })
  it('keeps dropped files until the commit lasts, and handed ones for good', async () => {
    const work = new MemoryWork({ disk: new MemoryDisk() })
    const ctx = work.open()
    for (const name of ['dropped', 'handed']) write(ctx, name, name)
    await work.commit()
    ctx.drop('dropped')
    ctx.hand('handed')
    expect(() => ctx.file('dropped')).toThrow('use another name')
    await work.commit()
    expect(work.committed.files).toEqual({})
    work.crash('noise')
    expect(readFileIfThere(work.disk, '/data/job/dropped')?.toString()).toBe('dropped')
    work.open()
    expect(readFileIfThere(work.disk, '/data/job/dropped')).toBeNull()
    expect(readFileIfThere(work.disk, '/data/job/handed')?.toString()).toBe('handed')
  })
  it('disposes of warm things with the process, and refuses a dead one everything', async () => {
    const work = new MemoryWork()
    const ctx = work.open()
    let alive = true
    ctx.keep('k', () => ({
      [Symbol.dispose]() {
        alive = false
      },
    }))
    const file = ctx.file('a')
    work.crash('kept')
    expect(alive).toBe(false)
    expect(() => ctx.file('a')).toThrow('dead')
    expect(() => ctx.slot('s', () => ({}))).toThrow('dead')
    expect(() => file.write(Buffer.from('x'))).toThrow('closed')
  })
  it('lists artifacts as the engine does', async () => {
    const work = new MemoryWork()
    const ctx = work.open()
    ctx.addArtifact({ name: 'a.zip', path: '/out/a.zip', size: 7, sha256: 'x' })
    await work.commit()
    work.crash()
    expect(work.open().artifacts()).toEqual([{ name: 'a.zip', path: '/out/a.zip', size: 7, sha256: 'x' }])
    expect(work.committed.artifacts).toEqual({ count: 1, bytes: 7 })
  })
})
