import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AuditTrail } from '../../src/access/audit.ts'
import { encodeEntry, makeEntry } from '../../src/access/audit-line.ts'
import type { AuditEvent } from '../../src/engine/services.ts'
import type { Disk } from '../../src/lib/disk.ts'
import { writeFully } from '../../src/lib/disk.ts'
import { readFileIfThere, replaceFile } from '../../src/lib/durable-file.ts'
import { enumerateFaults, type World } from '../faults/enumerate.ts'
import { FakeClock } from '../helpers/fake-clock.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import { interleave, Program } from '../helpers/interleave.ts'
import { seeded } from '../helpers/random.ts'

const FILE = '/data/audit/audit.jsonl'

const event = (name: string): AuditEvent => ({
  event: name,
  actor: 'anna',
  face: 'http',
  address: '192.0.2.1',
  object: 'job:1',
  result: 'ok',
  request: 'r1',
})

function dataDisk(): MemoryDisk {
  const disk = new MemoryDisk()
  disk.mkdir('/data', 0o700)
  disk.mkdir('/data/audit', 0o700)
  disk.close(disk.open('/data/audit/reserve', 'create')) // filling it is for `disk-full.test.ts`
  return disk.powerCut('keep')
}

const open = (disk: Disk): AuditTrail => new AuditTrail(disk, new FakeClock(), '/data')

function trailOf(count: number): { disk: MemoryDisk; trail: AuditTrail } {
  const disk = dataDisk()
  const trail = open(disk)
  for (let i = 1; i <= count; i++) trail.note(event(`e${i}`))
  return { disk, trail }
}

const textOf = (disk: Disk): string => readFileIfThere(disk, FILE)?.toString('utf8') ?? ''
const linesOf = (disk: Disk): string[] => textOf(disk).split('\n').slice(0, -1)
const put = (disk: Disk, text: string): void => replaceFile(disk, FILE, Buffer.from(text))
const putLines = (disk: Disk, lines: readonly string[]): void => put(disk, lines.map((line) => `${line}\n`).join(''))
const names = (trail: AuditTrail): string[] => trail.read(1, 1000).entries.map((entry) => entry.event)

describe('the trail', () => {
  test('entries in their order, by number or the newest; private files; an empty one is whole', () => {
    expect(open(dataDisk()).verify()).toMatchObject({ ok: true, entries: 0, head: '' })
    const { disk, trail } = trailOf(1500)
    expect(trail.read(undefined, 3)).toMatchObject({
      total: 1500,
      entries: [{ seq: 1498 }, { seq: 1499 }, { seq: 1500, event: 'e1500', actor: 'anna' }],
    })
    for (const from of [1, 2, 700, 1499, 1500]) expect(trail.read(from, 2).entries[0]?.seq).toBe(from)
    expect(trail.read(1501, 5).entries).toEqual([])
    expect(trail.verify()).toEqual({
      ok: true,
      entries: 1500,
      file: null,
      line: null,
      reason: '',
      head: trail.head()?.entry.hash,
    })
    for (const name of disk.readdir('/data/audit'))
      expect(disk.lstat(`/data/audit/${name.toString()}`).mode & 0o077).toBe(0)
    expect(disk.readdir('/data/audit').length).toBeLessThan(6)
  })

  test('what would forge a line where it is read is made harmless', () => {
    const { disk, trail } = trailOf(0)
    trail.note({ ...event('login'), actor: 'x\n{"seq":2}\u202e\u001b[2J', object: 'o'.repeat(10_000) })
    expect(linesOf(disk)).toHaveLength(1)
    for (const bad of ['\u202e', '\u001b']) expect(textOf(disk)).not.toContain(bad)
    expect(textOf(disk).length).toBeLessThan(1000)
    expect(trail.verify().ok).toBe(true)
  })
})

describe('tampering is named', () => {
  const cases: Record<string, [change: (lines: string[]) => string[], line: number]> = {
    'an edited line': [(l) => l.with(4, (l[4] ?? '').replace('anna', 'otto')), 5],
    'an edited line with its place in the text kept': [(l) => l.with(4, ` ${l[4]}`), 5],
    'a member too many': [(l) => l.with(4, (l[4] ?? '').replace('{', '{"x":1,')), 5],
    'a line cut out': [(l) => l.toSpliced(4, 1), 5],
    'the first line cut out': [(l) => l.slice(1), 1],
    'two lines swapped': [(l) => l.with(4, l[5] ?? '').with(5, l[4] ?? ''), 5],
    'a line twice': [(l) => l.toSpliced(4, 0, l[4] ?? ''), 6],
    'a line of nothing': [(l) => l.toSpliced(4, 0, ''), 5],
    'the last line cut off': [(l) => l.slice(0, -1), 10],
    'half of the lines cut off': [(l) => l.slice(0, 5), 6],
    'everything cut off': [() => [], 1],
    'a line added': [(l) => [...l, l[9] ?? ''], 11],
  }
  for (const [name, [change, line]] of Object.entries(cases)) {
    test(name, () => {
      const { disk, trail } = trailOf(10)
      putLines(disk, change(linesOf(disk)))
      expect(trail.verify()).toMatchObject({ ok: false, line })
      trail.note(event('later')) // goes on, and hides nothing
      expect(names(trail)).toContain('later')
      const after = trail.verify()
      if (name === 'the last line cut off') {
        // The head record still held that line: nothing is lost, and the trail says that it was restored.
        expect(after.ok).toBe(true)
        expect(names(trail).slice(-3)).toEqual(['e10', 'audit.completed', 'later'])
      } else expect(after.ok).toBe(false)
    })
  }

  test('a line forged with a hash that fits it; and a whole tail forged', () => {
    const { disk, trail } = trailOf(10)
    const entries = trail.read(1, 10).entries
    const forged = (at: number, prev: string) => makeEntry(at, 7, prev, event('forged'))
    const before = entries[3]?.hash ?? ''
    putLines(disk, linesOf(disk).with(4, encodeEntry(forged(5, before)).trimEnd()))
    expect(trail.verify()).toMatchObject({ ok: false, line: 6, reason: expect.stringContaining('does not follow') })
    const tail: string[] = []
    for (let at = 5, prev = before; at <= 10; at++) {
      const entry = forged(at, prev)
      tail.push(encodeEntry(entry).trimEnd())
      prev = entry.hash
    }
    putLines(disk, [...linesOf(disk).slice(0, 4), ...tail])
    expect(trail.verify()).toMatchObject({ ok: false, reason: expect.stringContaining('names another entry 10') })
  })

  test('a head record that was changed, put back or removed', () => {
    const { disk, trail } = trailOf(10)
    const head = '/data/audit/head-10.json'
    const text = readFileIfThere(disk, head)?.toString() ?? ''
    replaceFile(disk, head, Buffer.from(text.replace('anna', 'otto')))
    expect(trail.verify().ok).toBe(false)
    expect(() => trail.note(event('x'))).toThrow('was changed')
    disk.unlink(head)
    expect(trail.verify()).toMatchObject({ ok: false, line: 11 })
    for (const n of [8, 9]) disk.unlink(`/data/audit/head-${n}.json`)
    expect(trail.verify()).toMatchObject({ ok: false, reason: 'the head record is gone' })
    trail.note(event('x')) // a new chain behind the old one; nothing is written over
    expect(linesOf(disk)).toHaveLength(12)
    expect(trail.verify()).toMatchObject({ ok: false, line: 11 })
  })

  test('any change of any byte, any cut, any new order: found, at or before the first line that differs', () => {
    const { disk, trail } = trailOf(12)
    const whole = textOf(disk)
    const lines = linesOf(disk)
    const check = (text: string): void => {
      if (text === whole) return
      put(disk, text)
      const verdict = trail.verify()
      expect(verdict.ok).toBe(false)
      let same = 0
      while (same < text.length && text[same] === whole[same]) same++
      const differs = whole.slice(0, same).split('\n').length
      expect(verdict.line).toBeLessThanOrEqual(differs + 1)
      expect(verdict.line).toBeGreaterThanOrEqual(Math.min(differs, 12))
    }
    const at = fc.nat(whole.length - 1)
    fc.assert(
      fc.property(at, fc.integer({ min: 32, max: 126 }), (i, c) => {
        check(whole.slice(0, i) + String.fromCharCode(c) + whole.slice(i + 1))
      }),
      { numRuns: 400 },
    )
    fc.assert(
      fc.property(at, (i) => check(whole.slice(0, i))),
      { numRuns: 200 },
    )
    fc.assert(
      fc.property(fc.shuffledSubarray(lines), (some) => check(some.map((l) => `${l}\n`).join(''))),
      {
        numRuns: 200,
      },
    )
  })
})

describe('killed', () => {
  interface Trail extends World {
    told: number
  }
  const MOST = 5
  const done = (disk: Disk): number => names(open(disk)).filter((name) => name.startsWith('e')).length
  const run = (disk: Disk, world: Trail): void => {
    const trail = open(disk)
    for (let next = done(disk) + 1; next <= MOST; next++) {
      trail.note(event(`e${next}`))
      world.told = Math.max(world.told, next)
    }
  }
  const work = {
    build: (): Trail => ({ disk: dataDisk(), told: 0 }),
    run,
    checkCrashed(disk: Disk, world: Trail) {
      if (done(disk) < world.told) throw new Error(`${world.told} were acknowledged, ${done(disk)} are left`)
    },
    finish(disk: Disk, world: Trail) {
      run(disk, world)
      open(disk).note(event('last'))
    },
    check(disk: Disk) {
      const trail = open(disk)
      const all = names(trail).filter((name) => !name.startsWith('audit.') && name !== 'last')
      expect(all).toEqual(['e1', 'e2', 'e3', 'e4', 'e5'])
      expect(names(trail)).not.toContain('audit.damaged')
      const verdict = trail.verify()
      // The last line may still be only in the head record; nothing else may be wrong.
      if (!verdict.ok)
        expect([verdict.line, verdict.entries]).toEqual([verdict.entries + 1, trail.read(1, 1).total - 1])
    },
  }

  test('at every call, and every call failing: what was acknowledged stays, the chain is whole', async () => {
    const report = await enumerateFaults(work)
    expect(report.runs).toBeGreaterThan(500)
  })

  test('a line torn at any byte is completed by the next entry, which says so', () => {
    const { disk, trail } = trailOf(3)
    const whole = textOf(disk)
    const start = whole.lastIndexOf('\n', whole.length - 2) + 1
    for (let cut = start; cut < whole.length; cut++) {
      const copy = disk.clone()
      put(copy, whole.slice(0, cut))
      const torn = open(copy)
      expect(torn.verify().ok).toBe(false)
      expect(names(torn)).toEqual(['e1', 'e2', 'e3'])
      torn.note(event('next'))
      expect(names(torn)).toEqual(['e1', 'e2', 'e3', 'audit.completed', 'next'])
      expect(torn.verify()).toMatchObject({ ok: true, entries: 5 })
    }
    expect(trail.verify().ok).toBe(true)
  })

  test('bytes behind the end are neither believed nor removed', () => {
    const { disk, trail } = trailOf(3)
    const fd = disk.open(FILE, 'append')
    writeFully(disk, fd, Buffer.from('{"seq":4'), 0)
    disk.close(fd)
    trail.note(event('next'))
    expect(names(trail)).toEqual(['e1', 'e2', 'e3', 'audit.damaged', 'next'])
    expect(linesOf(disk)[3]).toBe('{"seq":4')
    expect(trail.verify()).toMatchObject({ ok: false, line: 4 })
  })
})

test('two processes that write at once, in 300 orders of their calls: one chain, nothing lost', () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = seeded(seed)
    const disk = trailOf(1).disk
    const programs = ['a', 'b'].map(
      (name) =>
        new Program(name, disk, (own) => {
          const trail = new AuditTrail(own, new FakeClock(), '/data', name)
          for (const n of [1, 2]) trail.note(event(`${name}${n}`))
        }),
    )
    interleave(programs, random)
    expect(programs.map((p) => p.error)).toEqual([null, null])
    const trail = open(disk)
    trail.note(event('end'))
    expect(trail.verify()).toMatchObject({ ok: true })
    const seen = names(trail).filter((name) => !name.startsWith('audit.'))
    expect(seen.toSorted()).toEqual(['a1', 'a2', 'b1', 'b2', 'e1', 'end'])
    expect(names(trail)).not.toContain('audit.damaged')
  }
})
