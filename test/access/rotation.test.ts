import { describe, expect, test } from 'vitest'
import { AuditTrail } from '../../src/access/audit.ts'
import type { AuditEvent } from '../../src/engine/services.ts'
import type { Disk } from '../../src/lib/disk.ts'
import { readFileIfThere, replaceFile } from '../../src/lib/durable-file.ts'
import { enumerateFaults, type World } from '../faults/enumerate.ts'
import { FakeClock } from '../helpers/fake-clock.ts'
import { interleave, Program } from '../helpers/interleave.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import { seeded } from '../helpers/random.ts'

/** The trail in several files (S-LOG-3). Every second line or so opens another one here. */
const ROTATED_AT = 400
const FOLDER = '/data/audit'

const event = (name: string): AuditEvent => {
  const place = { actor: 'anna', face: 'http', address: '192.0.2.1', object: 'job:1', result: 'ok', request: 'r1' }
  return { event: name, ...place }
}

function dataDisk(): MemoryDisk {
  const disk = new MemoryDisk()
  disk.mkdir('/data', 0o700)
  disk.mkdir('/data/audit', 0o700)
  disk.close(disk.open('/data/audit/reserve', 'create')) // filling it is for `disk-full.test.ts`
  return disk.powerCut('keep')
}

const open = (disk: Disk, who?: string): AuditTrail => new AuditTrail(disk, new FakeClock(), '/data', who, ROTATED_AT)

function trailOf(count: number): { disk: MemoryDisk; trail: AuditTrail } {
  const disk = dataDisk()
  const trail = open(disk)
  for (let i = 1; i <= count; i++) trail.note(event(`e${i}`))
  return { disk, trail }
}

const filesOf = (disk: Disk): string[] =>
  disk
    .readdir(FOLDER)
    .map(String)
    .filter((name) => name.endsWith('.jsonl'))
const at = (name: string): string => `${FOLDER}/${name}`
const textOf = (disk: Disk, name: string): string => readFileIfThere(disk, at(name))?.toString() ?? ''
const names = (trail: AuditTrail): string[] => trail.read(1, 1000).entries.map((entry) => entry.event)

describe('the trail goes on in another file', () => {
  test('one chain, read and verified over all of them; earlier files are never touched', () => {
    const { disk, trail } = trailOf(0)
    const seen = new Map<string, string>()
    for (let i = 1; i <= 40; i++) {
      trail.note(event(`e${i}`))
      const files = filesOf(disk)
      for (const [name, text] of seen) expect([name, textOf(disk, name).startsWith(text)]).toEqual([name, true])
      for (const name of files) seen.set(name, textOf(disk, name))
    }
    expect(seen.size).toBeGreaterThan(10)
    expect(trail.verify()).toMatchObject({ ok: true, entries: 40, file: null, line: null })
    expect(names(trail)).toEqual(Array.from({ length: 40 }, (_, i) => `e${i + 1}`))
    for (let from = 1; from <= 40; from++)
      expect(trail.read(from, 7).entries.map((entry) => entry.seq)).toEqual(
        Array.from({ length: Math.min(7, 41 - from) }, (_, i) => from + i),
      )
    expect(trail.read(undefined, 5).entries.map((entry) => entry.seq)).toEqual([36, 37, 38, 39, 40])
    for (const name of filesOf(disk)) expect(disk.lstat(at(name)).mode & 0o077).toBe(0)
  })

  test('a head record of before there was more than one file counts', () => {
    const { disk, trail } = trailOf(1)
    const head = at('head-1.json')
    const text = readFileIfThere(disk, head)?.toString() ?? ''
    const older = text.replace(/ *"first": 1,\n/, '')
    expect(older).not.toBe(text)
    replaceFile(disk, head, Buffer.from(older))
    trail.note(event('next'))
    expect(trail.verify()).toMatchObject({ ok: true, entries: 2 })
  })

  test('a file gone, cut, edited, emptied, swapped or added is named', () => {
    const { disk } = trailOf(20)
    const files = filesOf(disk).toSorted((a, b) => Number(/\d+/.exec(a) ?? 1) - Number(/\d+/.exec(b) ?? 1))
    const [first = '', second = '', third = ''] = files
    const last = files.at(-1) ?? ''
    const cases: Record<string, [change: (copy: MemoryDisk) => void, file: string]> = {
      'the first gone': [(copy) => copy.unlink(at(first)), second],
      'one in the middle gone': [(copy) => copy.unlink(at(second)), third],
      'the last gone': [(copy) => copy.unlink(at(last)), files.at(-2) ?? ''],
      'the last emptied': [(copy) => replaceFile(copy, at(last), Buffer.alloc(0)), last],
      'one emptied': [(copy) => replaceFile(copy, at(second), Buffer.alloc(0)), third],
      edited: [
        (copy) => replaceFile(copy, at(second), Buffer.from(textOf(copy, second).replace('anna', 'otto'))),
        second,
      ],
      'cut off at a line': [
        (copy) =>
          replaceFile(copy, at(second), Buffer.from(textOf(copy, second).split('\n').slice(0, 1).join('') + '\n')),
        third,
      ],
      swapped: [
        (copy) => {
          copy.rename(at(second), '/data/x')
          copy.rename(at(third), at(second))
          copy.rename('/data/x', at(third))
        },
        second,
      ],
      'one more': [
        (copy) => replaceFile(copy, at('audit-999.jsonl'), Buffer.from(textOf(copy, second))),
        'audit-999.jsonl',
      ],
    }
    for (const [name, [change, file]] of Object.entries(cases)) {
      const copy = disk.clone()
      change(copy)
      const verdict = open(copy).verify()
      expect([name, verdict.ok, verdict.file]).toEqual([name, false, file])
      if (file !== first) expect(verdict.reason).toContain(`${file}: line`)
      open(copy).note(event('later')) // goes on, and hides nothing
      expect([name, names(open(copy)).includes('later')]).toEqual([name, true])
      if (name !== 'the last emptied' && name !== 'the last gone')
        expect([name, open(copy).verify().ok]).toEqual([name, false])
    }
  })

  test('a file that has the next name already is not written over', () => {
    const { disk, trail } = trailOf(1)
    for (let i = 2; i <= 12; i++) {
      const planted = at(`audit-${i + 1}.jsonl`)
      replaceFile(disk, planted, Buffer.from('planted\n'))
      trail.note(event(`e${i}`))
    }
    for (const name of filesOf(disk).filter((name) => name !== 'audit.jsonl'))
      expect([name, textOf(disk, name)]).toEqual([name, 'planted\n'])
    expect(trail.verify().ok).toBe(false)
  })
})

describe('killed', () => {
  interface Trail extends World {
    told: number
  }
  const MOST = 4
  const done = (disk: Disk): number => names(open(disk)).filter((name) => name.startsWith('e')).length
  const run = (disk: Disk, world: Trail): void => {
    const trail = open(disk)
    for (let next = done(disk) + 1; next <= MOST; next++) {
      trail.note(event(`e${next}`))
      world.told = Math.max(world.told, next)
    }
  }
  test('at every call, and every call failing, with files that follow each other', async () => {
    const report = await enumerateFaults({
      build: (): Trail => ({ disk: dataDisk(), told: 0 }),
      run,
      cuts: 1,
      checkCrashed(disk: Disk, world: Trail) {
        if (done(disk) < world.told) throw new Error(`${world.told} were acknowledged, ${done(disk)} are left`)
      },
      finish(disk: Disk, world: Trail) {
        run(disk, world)
        open(disk).note(event('last'))
      },
      check(disk: Disk) {
        const trail = open(disk)
        const all = names(trail)
        expect(all.filter((name) => name.startsWith('e'))).toEqual(['e1', 'e2', 'e3', 'e4'])
        expect(all).not.toContain('audit.damaged')
        expect(filesOf(disk).length).toBeGreaterThan(1)
        const verdict = trail.verify()
        if (!verdict.ok) expect(verdict.entries).toBe(trail.read(1, 1).total - 1)
      },
    })
    expect(report.runs).toBeGreaterThan(500)
  })
})

test('two processes that write at once, in 40 orders of their calls, while files follow each other', () => {
  for (let seed = 1; seed <= 40; seed++) {
    const { disk } = trailOf(2)
    const programs = ['a', 'b'].map(
      (name) =>
        new Program(name, disk, (own) => {
          const trail = open(own, name)
          for (const n of [1, 2]) trail.note(event(`${name}${n}`))
        }),
    )
    interleave(programs, seeded(seed))
    expect(programs.map((p) => p.error)).toEqual([null, null])
    const trail = open(disk)
    trail.note(event('end'))
    expect(trail.verify()).toMatchObject({ ok: true })
    const seen = names(trail).filter((name) => !name.startsWith('audit.'))
    expect(seen.toSorted()).toEqual(['a1', 'a2', 'b1', 'b2', 'e1', 'e2', 'end'])
    expect(names(trail)).not.toContain('audit.damaged')
  }
})
