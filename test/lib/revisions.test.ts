import { describe, expect, test } from 'vitest'
import type { Disk } from '../../src/lib/disk.ts'
import { Revisions } from '../../src/lib/revisions.ts'
import { interleave, Program } from '../helpers/interleave.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import { seeded } from '../helpers/random.ts'

function folder(): MemoryDisk {
  const disk = new MemoryDisk()
  disk.mkdir('/d', 0o700)
  return disk.settle()
}

const open = (disk: Disk, who?: string): Revisions => new Revisions(disk, '/d', 'counter', who)
const valueOf = (revisions: Revisions): number => Number(revisions.read()?.value ?? 0)

/** Adds one, as often as it takes. */
function add(revisions: Revisions): void {
  for (;;) {
    const before = revisions.read()
    if (revisions.put(before, Number(before?.value ?? 0) + 1) !== null) return
  }
}

describe('revisions', () => {
  test('the newest counts; a few older ones stay; files for their owner only', () => {
    const disk = folder()
    const revisions = open(disk)
    expect([revisions.newest(), revisions.read()]).toEqual([0, null])
    for (let i = 0; i < 20; i++) add(revisions)
    expect([revisions.newest(), valueOf(revisions)]).toEqual([20, 20])
    const names = disk.readdir('/d').map(String)
    expect(names.toSorted()).toEqual([18, 19, 20].map((n) => `counter-${n}.json`))
    for (const name of names) expect(disk.lstat(`/d/${name}`).mode & 0o077).toBe(0)
  })

  test('temporary files of the killed go; others are left alone', () => {
    const disk = folder()
    const revisions = open(disk)
    for (const name of ['counter-1.json.0123456789ab.tmp', 'counter-9.json.0123456789ab.tmp', 'other-1.json', 'x'])
      disk.close(disk.open(`/d/${name}`, 'create'))
    for (let i = 0; i < 5; i++) add(revisions)
    const rest = [
      'counter-3.json',
      'counter-4.json',
      'counter-5.json',
      'counter-9.json.0123456789ab.tmp',
      'other-1.json',
      'x',
    ]
    expect(disk.readdir('/d').map(String).toSorted()).toEqual(rest)
  })

  test('of two that change the same revision one wins', () => {
    const disk = folder()
    const [one, two] = [open(disk), open(disk.process())]
    add(one)
    const seen = two.read()
    expect(one.put(one.read(), 'first')).not.toBeNull()
    expect(two.put(seen, 'second')).toBeNull()
    expect(two.read()?.value).toBe('first')
  })

  test('a number that was swept is not used again by whoever slept', () => {
    const disk = folder()
    const [one, sleeper] = [open(disk), open(disk.process())]
    add(one)
    const seen = sleeper.read()
    for (let i = 0; i < 10; i++) add(one)
    expect(disk.readdir('/d').map(String)).not.toContain('counter-2.json')
    expect(sleeper.put(seen, 'late')).toBeNull()
    expect(disk.readdir('/d').map(String)).not.toContain('counter-2.json')
    expect(valueOf(sleeper)).toBe(11)
  })

  test('whoever is built upon before he looks has won: no change is lost or made twice, in 400 orders', () => {
    for (let seed = 1; seed <= 400; seed++) {
      const disk = folder()
      const programs = ['a', 'b', 'c'].map(
        (who) =>
          new Program(who, disk, (own) => {
            for (let i = 0; i < 3; i++) add(open(own, `${who}${i}`))
          }),
      )
      interleave(programs, seeded(seed))
      expect(programs.map((program) => program.error)).toEqual([null, null, null])
      expect(valueOf(open(disk))).toBe(9)
    }
  })

  test('what cannot be understood is named', () => {
    const disk = folder()
    const revisions = open(disk)
    add(revisions)
    for (const text of ['', '{', '[]', '{"revision":2,"lineage":[],"value":1}']) {
      const fd = disk.open('/d/counter-1.json', 'update')
      disk.truncate(fd, 0)
      disk.write(fd, Buffer.from(text), 0, text.length, 0)
      disk.close(fd)
      expect(() => revisions.read()).toThrow('/d/counter-1.json cannot be understood')
    }
  })
})
