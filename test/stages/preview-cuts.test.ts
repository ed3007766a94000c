import { expect } from 'vitest'
import type { RestoreSpec } from '../../src/engine/spec.ts'
import type { Steps } from '../../src/engine/stage.ts'
import { treeOf, putFile } from '../helpers/disk-tree.ts'
import type { MemoryContext } from '../helpers/memory-context.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import { MemoryWork } from '../helpers/memory-work.ts'
import { resumable, type ResumableRun } from '../suites/resumable.ts'
import { placeIn, putItems, restoreSpecOf, stagesWith, type TestItem } from './restore-world.ts'

const text = (content: string): Buffer => Buffer.from(content)
const file = (name: string): TestItem => ({ name, data: text(name) })
const link = (name: string, target: string): TestItem => ({ name, kind: 'symlink', data: text(target) })

/** More entries than are judged between two safe points, of every kind, with something wrong in each stretch. */
const ITEMS: TestItem[] = Array.from({ length: 36 }, (_, i) => [
  { name: `d${i}`, kind: 'dir' as const },
  ...Array.from({ length: 9 }, (__, n) => file(`d${i}/f${n}`)),
  link(`d${i}/l`, `../d${(i + 19) % 36}/../x`),
  link(`d${i}/out`, '../..'),
  { ...file(`d${i}/s`), ...(i % 7 === 0 ? { mode: 0o104755 } : {}) },
  ...(i % 5 === 0 ? [file(`../${i}`), file(`twice${i}/x`), file(`twice${i}`)] : []),
  ...(i % 11 === 0 ? [{ ...file(`d${i}/gone`), line: null }] : []),
]).flat()

const both = (spec: RestoreSpec, format: 'zip' | 'jpa') => (): ResumableRun => {
  const disk = new MemoryDisk()
  const place = placeIn('/w', format)
  putItems(disk, place, ITEMS)
  disk.mkdir(place.target, 0o755)
  for (let i = 0; i < 36; i += 4) disk.mkdir(`${place.target}/d${i}`, 0o755)
  for (let i = 0; i < 36; i += 8) putFile(disk, `${place.target}/d${i}/f3`, 'old')
  for (let i = 1; i < 36; i += 8) disk.symlink(text('/w'), `${place.target}/d${i}`)
  const before = treeOf(disk, '/w')
  const stages = stagesWith({}, place)
  const work = new MemoryWork({ spec: { ...spec, archive: place.archive }, disk })
  return {
    work,
    async *steps(ctx: MemoryContext): Steps {
      const plan = ctx.slot('plan', () => ({ stage: 0 }))
      if (plan.stage === 0) {
        yield* stages['open-archive'].run(ctx)
        plan.stage = 1
      }
      yield* stages['preview-restore'].run(ctx)
    },
    result: () => {
      expect(treeOf(work.disk, '/w')).toEqual(before)
      return {
        summary: work.summary,
        found: { ...work.committed.preview, free: 0 },
        paths: work.content('preview').toString(),
      }
    },
  }
}

const SPEC = restoreSpecOf(placeIn('/w'), { dryRun: true, mode: 'inplace' })
resumable('the dry run of a restore, ZIP', both(SPEC, 'zip'), { power: true, cuts: 9 })
resumable('the dry run of a restore, JPA', both({ ...SPEC, patterns: ['d*'] }, 'jpa'), { cuts: 3 })
