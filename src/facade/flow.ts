import { once } from 'node:events'
import type { Response } from 'express'
import type { Outgoing } from '../engine/services.ts'
import { BackupError } from '../lib/errors.ts'

/** A reader who takes nothing for this long is gone. Milliseconds. */
const STALLED_AFTER = 60_000
/** How often it is asked whether the caller may still have it. Milliseconds. */
const ASKED_EVERY = 2_000

/**
 * Sends all of it, as fast as it is taken. CANCELLED when the other side left, took nothing for a minute, or lost the
 * right to have it; whatever reading throws. The caller then cuts the connection: its announced length shows that not
 * all came.
 */
export async function flow(outgoing: Outgoing, response: Response, counts: () => boolean): Promise<void> {
  let piece = await outgoing.read() // what is wrong from the beginning can still be said
  const watch = setInterval(() => {
    if (!counts()) response.destroy()
  }, ASKED_EVERY)
  watch.unref()
  try {
    let left = outgoing.size
    for (; piece !== null; piece = await outgoing.read()) {
      left -= piece.length
      if (response.closed) throw gone()
      if (!response.write(piece)) await taken(response)
    }
    if (left !== 0) throw new BackupError('INTERNAL', 'a download had another length than announced')
    response.end()
    if (!response.writableFinished) await taken(response, 'finish')
  } finally {
    clearInterval(watch)
  }
}

const gone = (): BackupError => new BackupError('CANCELLED', 'the other side left before all was sent')

/** Until there is room again, or (`finish`) all has been handed over. */
async function taken(response: Response, what: 'drain' | 'finish' = 'drain'): Promise<void> {
  if (response.closed) throw gone()
  const stop = new AbortController()
  const timer = setTimeout(() => response.destroy(), STALLED_AFTER)
  timer.unref()
  try {
    const { signal } = stop
    const closed = once(response, 'close', { signal }).then(() => {
      if (!response.writableFinished) throw gone()
    })
    await Promise.race([once(response, what, { signal }), closed])
  } finally {
    clearTimeout(timer)
    stop.abort()
  }
}
