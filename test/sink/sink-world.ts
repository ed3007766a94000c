import type { BackupSpec } from '../../src/engine/spec.ts'
import type { Steps } from '../../src/engine/stage.ts'
import { decodeManifestLine, isOmission, MANIFEST_NAME } from '../../src/archive/manifest.ts'
import { joinParts } from '../../src/archive/parts.ts'
import type { Disk } from '../../src/lib/disk.ts'
import { formatNamed } from '../../src/registry.ts'
import { openStages, type StepParts } from '../../src/step-parts.ts'
import { partCount, readPart } from '../../src/sink/part-writer.ts'
import { contentOf } from '../helpers/disk-tree.ts'
import type { MemoryContext } from '../helpers/memory-context.ts'
import { MemoryWork } from '../helpers/memory-work.ts'
import { sampleSpec } from '../helpers/sample-job.ts'
import type { MemoryDisk } from '../helpers/memory-disk.ts'

/** A backup of `/source` as far as the archive: packed and sealed, without an engine. */
export interface SinkWorld {
  readonly work: MemoryWork
  readonly parts: StepParts
  steps(ctx: MemoryContext): Steps
}

export function sinkWorld(source: MemoryDisk, changes: Partial<BackupSpec> = {}, disk: Disk = source): SinkWorld {
  const spec = sampleSpec({ sources: [{ type: 'directory', path: '/source', xattrs: false }], level: 1, ...changes })
  const work = new MemoryWork({ spec, disk })
  const parts = openStages({ dataDir: '/data', threads: 0 })
  return { work, parts, steps: (ctx) => packAndSeal(parts, ctx) }
}

/** One stage after the other, as the engine has it. */
async function* packAndSeal({ stages }: StepParts, ctx: MemoryContext): Steps {
  const phase = ctx.slot('phase', () => ({ packed: false }))
  if (!phase.packed) yield* stages.pack.run(ctx)
  phase.packed = true
  yield* stages.seal.run(ctx)
}

/** To the end, in one process, with the commits that barriers ask for. */
export async function runWhole({ work, steps }: SinkWorld): Promise<void> {
  for await (const progress of steps(work.open())) if (progress.durable === true) await work.commit()
  await work.commit()
  work.crash('cut')
}

/** The finished parts, in order. */
export function partsOf(work: MemoryWork): { name: string; path: string; size: number; bytes: Buffer }[] {
  const ctx = work.open()
  const list = ctx.file('parts')
  const found = Array.from({ length: partCount(list) }, (_, i) => {
    const { name, size } = readPart(list, i)
    const path = ctx.path(name, 'out')
    return { name, size, path, bytes: contentOf(work.disk, path) }
  })
  work.crash('cut')
  return found
}

/** Everything in the archive by name, as our own reader finds it: `dir`, `→ target`, or bytes. */
export async function entriesOf(work: MemoryWork): Promise<Map<string, string | Buffer>> {
  const parts = partsOf(work)
  using reader = formatNamed(work.spec.kind === 'backup' ? work.spec.format : 'zip').open(joinParts(work.disk, parts))
  const found = new Map<string, string | Buffer>()
  for (const entry of reader.entries()) {
    const pieces: Buffer[] = []
    if (entry.kind !== 'dir') for await (const piece of reader.content(entry)) pieces.push(Buffer.from(piece.bytes))
    const bytes = Buffer.concat(pieces)
    const name = entry.path.toString('latin1')
    if (found.has(name)) throw new Error(`${name} is there twice`)
    found.set(name, entry.kind === 'dir' ? 'dir' : entry.kind === 'symlink' ? `→ ${bytes.toString('latin1')}` : bytes)
  }
  return found
}

/** Lines of the manifest that say what was left out, and why. */
export function omissionsIn(entries: ReadonlyMap<string, string | Buffer>): Record<string, string> {
  const lines = String(entries.get(MANIFEST_NAME) ?? '').split('\n')
  const parsed = lines.filter((line) => line !== '').map(decodeManifestLine)
  return Object.fromEntries(parsed.filter(isOmission).map(({ path, omitted }) => [path.toString(), omitted]))
}
