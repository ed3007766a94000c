import path from 'node:path'
import type { StageContext, Steps } from '../../engine/stage.ts'
import type { VerifySpec } from '../../engine/spec.ts'
import { readFully } from '../../lib/disk.ts'
import { asBackupError, BackupError, errnoOf } from '../../lib/errors.ts'
import { hashStart, WarmHash } from '../../lib/resumable-hash.ts'
import { orClose } from '../restore/handles.ts'
import { checkSlot, noteDamage, verifySpec, type CheckSlot } from './slot.ts'

const READ = 1 << 20

type Expected = VerifySpec['expected'][number]

/** Reads every part again and compares its size and SHA-256 with what the backup's record says (R21, R22). */
export async function* checkParts(ctx: StageContext): Steps {
  const { expected } = verifySpec(ctx)
  const slot = checkSlot(ctx)
  const total = expected.reduce((sum, part) => sum + part.size, 0)
  let before = expected.slice(0, slot.part).reduce((sum, part) => sum + part.size, 0)
  for (let part = expected[slot.part]; part !== undefined; part = expected[slot.part]) {
    for (;;) {
      const ended = await hashOn(ctx, slot, part)
      const done = before + Math.min(slot.hash.offset, part.size)
      if (ended) break
      yield { step: 'reading the parts', substep: part.name, done, total }
    }
    before += part.size
    slot.part++
    slot.hash = hashStart(slot.hash.exportable)
    yield { step: 'reading the parts', substep: part.name, done: before, total }
  }
  ctx.forget('hash')
}

/** Hashes one more piece; true when the part is finished, whatever came of it. */
async function hashOn(ctx: StageContext, slot: CheckSlot, part: Expected): Promise<boolean> {
  const warm = ctx.keep('hash', () => new WarmHash())
  const file = openPart(ctx, part)
  if (file === null) return true
  try {
    await warm.resume(part.name, slot.hash)
    const buffer = Buffer.allocUnsafe(Math.min(READ, part.size - slot.hash.offset))
    const got = readFully(ctx.disk, file, buffer, buffer.length, slot.hash.offset)
    warm.update(slot.hash, buffer.subarray(0, got))
    if (slot.hash.offset < part.size && got > 0) return false
    if ((await warm.digest()) !== part.sha256)
      noteDamage(ctx, part.name, 'its SHA-256 is not the one that was recorded')
    return true
  } catch (error) {
    if (errnoOf(error) !== 'EIO') throw error
    noteDamage(ctx, part.name, `it cannot be read at byte ${slot.hash.offset} (EIO)`)
    return true
  } finally {
    ctx.disk.close(file)
  }
}

/** Null if it is not there or has another size; that is then noted. */
function openPart(ctx: StageContext, part: Expected): number | null {
  if (path.basename(part.name) !== part.name) throw new BackupError('BAD_REQUEST', `${part.name} is not a file name`)
  const file = path.join(path.dirname(verifySpec(ctx).archive), part.name)
  let fd: number
  try {
    fd = ctx.disk.open(file, 'read')
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw asBackupError(error, `${file} cannot be opened`, 'ARCHIVE_NOT_FOUND')
    noteDamage(ctx, part.name, 'the part is missing')
    return null
  }
  const { kind, size } = orClose(ctx.disk, fd, () => ctx.disk.fstat(fd))
  if (kind === 'file' && size === part.size) return fd
  ctx.disk.close(fd)
  noteDamage(ctx, part.name, `it has ${size} bytes; ${part.size} were recorded`)
  return null
}
