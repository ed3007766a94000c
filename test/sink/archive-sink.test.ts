import { expect, it } from 'vitest'
import { benchSource, HUGE_SIZE, TWO_BLOCKS } from '../helpers/bench-source.ts'
import { digested, resumable, type ResumableRun } from '../suites/resumable.ts'
import { entriesOf, partsOf, runWhole, sinkWorld } from './sink-world.ts'
import { unescapeName } from '../../src/lib/entry-path.ts'
import { readJpaText } from '../helpers/jpa-text.ts'
import type { MemoryDisk } from '../helpers/memory-disk.ts'
import type { MemoryWork } from '../helpers/memory-work.ts'

const CUTS = process.env['RATCHET_LONG'] === '1' ? 1000 : 10

function run(source: MemoryDisk, partSize: number, format: 'zip' | 'jpa' = 'zip'): ResumableRun {
  const world = sinkWorld(source.clone(), { partSize, format })
  return {
    work: world.work,
    steps: (ctx) => world.steps(ctx),
    result(work) {
      const { totals, parts, warnings } = work.committed
      return {
        parts: partsOf(work).map(({ name, bytes }) => [name, bytes]),
        totals,
        of: parts,
        warnings: warnings.total,
      }
    },
  }
}

const small = benchSource({ large: TWO_BLOCKS })
const many = benchSource({ large: 0, files: 300 })

resumable('an archive in one file', () => run(small, 0), { cuts: 1000, power: true })
resumable('an archive in parts of 64 KiB', () => run(small, 65_536), { cuts: CUTS, power: true })
resumable('an archive of many files', () => run(many, 65_536), { cuts: Math.min(CUTS, 5) })
resumable('a JPA archive in one file', () => run(small, 0, 'jpa'), { cuts: 1000, power: true })
resumable('a JPA archive in parts of 64 KiB', () => run(small, 65_536, 'jpa'), { cuts: CUTS, power: true })
resumable('a JPA archive of many files', () => run(many, 65_536, 'jpa'), { cuts: Math.min(CUTS, 5) })

it.each(['zip', 'jpa'] as const)('holds what the source holds, whatever the parts: %s', async (format) => {
  const source = benchSource()
  let first: unknown = null
  for (const partSize of [0, 65_536, 65_537, 100_000, 1 << 20, 1 << 30]) {
    const world = sinkWorld(source.clone(), { partSize, format })
    await runWhole(world)
    const entries = await entriesOf(world.work)
    if (format === 'jpa') checkText(world.work, entries)
    expect(entries.get('source/docs')).toBe('dir')
    expect(entries.get('source/link')).toBe('→ docs/readme.md')
    const content = [...entries].filter(([name]) => !name.startsWith('installation/'))
    first ??= digested(content)
    expect(digested(content), `parts of ${partSize}`).toEqual(first)
    for (const { size, bytes } of partsOf(world.work)) {
      expect(bytes.length).toBe(size)
      if (partSize > 0) expect(size).toBeLessThanOrEqual(partSize)
    }
  }
})

/** A reader made from the format's description alone finds the same. */
function checkText(work: MemoryWork, entries: ReadonlyMap<string, string | Buffer>): void {
  const { entities } = readJpaText(partsOf(work).map(({ bytes }) => bytes))
  expect(entities).toHaveLength(entries.size)
  for (const { name, type, data } of entities) {
    const path = unescapeName(name.toString()).toString('latin1')
    const found = entries.get(type === 0 ? path.slice(0, -1) : path)
    const link = type === 2 ? `→ ${data.toString('latin1')}` : data
    expect(digested(found), path).toEqual(digested(type === 0 ? 'dir' : link))
  }
}

it('gives a file beyond 16 MiB the digest of its blocks, cut or not', { timeout: 120_000 }, async () => {
  const source = benchSource({ large: HUGE_SIZE })
  const whole = sinkWorld(source.clone())
  await runWhole(whole)
  const expected = digested(await entriesOf(whole.work))
  expect(String((await entriesOf(whole.work)).get('installation/manifest.jsonl'))).toContain('"sha256-1m:')
  const cut = sinkWorld(source.clone())
  for (let ended = false; !ended;) {
    const steps = cut.steps(cut.work.open())
    for (let points = 0; points < 3 && !ended; points++) {
      const next = await steps.next()
      ended = next.done === true
      if (next.value?.durable === true) await cut.work.commit()
    }
    await steps.return(undefined)
    await cut.work.commit()
    cut.work.crash('noise')
  }
  expect(digested(await entriesOf(cut.work))).toEqual(expected)
})
