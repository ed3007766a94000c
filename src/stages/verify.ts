import { BackupError } from '../lib/errors.ts'
import type { Stage, StageContext } from '../engine/stage.ts'
import { partCount, readPart } from '../sink/part-writer.ts'
import type { BackupParts } from './backup-parts.ts'
import { backupSpec } from './init.ts'

/** Length of a line in the work file `digests`: the hex digest and a line feed. */
const LINE = 65

/** Reads the finished parts back and proves them, before anybody sees them. */
export const verifyStage = (parts: BackupParts): Stage => ({
  name: 'verify',
  domain: 'finalization',
  weight: () => 14,
  async *run(ctx) {
    backupSpec(ctx)
    yield* parts.proveParts(ctx, finishedParts(ctx), (digests) => {
      const file = ctx.file('digests')
      for (const sha256 of digests) file.write(Buffer.from(sha256 + '\n', 'latin1'))
    })
  },
})

export interface FinishedPart {
  readonly name: string
  readonly path: string
  readonly size: number
}

/** The parts as they lie in the work folder, in order. */
export function finishedParts(ctx: StageContext): FinishedPart[] {
  const list = ctx.file('parts')
  return Array.from({ length: partCount(list) }, (_, i) => {
    const { name, size } = readPart(list, i)
    return { name, size, path: ctx.path(name, 'out') }
  })
}

/** SHA-256 of part `index`, as `verify` found it. */
export function digestOf(ctx: StageContext, index: number): string {
  const sha256 = ctx
    .file('digests')
    .read(index * LINE, LINE - 1)
    .toString('latin1')
  if (!/^[0-9a-f]{64}$/.test(sha256)) throw new BackupError('STATE_DAMAGED', `part ${index + 1} was never verified`)
  return sha256
}
