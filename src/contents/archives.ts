import type { ArchiveHandle, Archives, Outgoing } from '../engine/archives.ts'
import { filesGone, type Engine } from '../engine/services.ts'
import { BackupError } from '../lib/errors.ts'
import type { ArchiveRef } from './opened.ts'
import type { Shelf } from './shelf.ts'

/** Downloads that may run at once, of all callers. */
const MOST_OUTGOING = 32

/** Archives by the numbers of their backups: only what a record lists is opened, where it says. */
export function createArchives(engine: Pick<Engine, 'get' | 'artifacts'>, shelf: Shelf): Archives {
  let open = 0
  const counted = async <O extends Outgoing>(work: () => Promise<O>): Promise<O> => {
    if (open >= MOST_OUTGOING)
      throw new BackupError('TOO_MANY_REQUESTS', `${MOST_OUTGOING} downloads are running already`, {
        data: { retryAfterMs: 5_000 },
      })
    open++
    let over = false
    const done = (): void => {
      if (!over) open--
      over = true
    }
    try {
      return countDown(await work(), done)
    } catch (error) {
      done()
      throw error
    }
  }
  return {
    browse: async (archive, query) => shelf.browse(await refOf(engine, archive), query),
    openEntry: (archive, path) => counted(async () => shelf.entry(await refOf(engine, archive), path)),
    openPart: (part, from, to) => counted(() => shelf.part(part, from, to)),
    close: () => shelf.close(),
  }
}

function countDown<O extends Outgoing>(outgoing: O, done: () => void): O {
  const close = outgoing.close.bind(outgoing)
  outgoing.close = () => {
    close()
    done()
  }
  return outgoing
}

async function refOf(engine: Pick<Engine, 'get' | 'artifacts'>, archive: ArchiveHandle): Promise<ArchiveRef> {
  if (typeof archive === 'string') return { lastPart: archive }
  const { kind, status, spec, standing } = await engine.get(archive)
  if (standing?.filesRemoved !== undefined) throw filesGone(archive, standing.filesRemoved)
  const parts = await engine.artifacts(archive)
  if (kind === 'backup' && spec.kind === 'backup' && parts.length > 0)
    return { format: spec.format, parts: parts.map(({ name, path, size }) => ({ name, path, size })) }
  const what = kind === 'backup' ? `backup ${archive} is ${status}` : `job ${archive} is a ${kind}`
  throw new BackupError('ARCHIVE_NOT_FOUND', `${what}; it has no archive`, {
    hint: 'Name a backup that has completed.',
  })
}
