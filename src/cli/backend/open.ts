import { startStepThread } from '../../step-thread.ts'
import type { Backend } from '../backend.ts'
import type { Reach } from '../reach.ts'

/** Each side is loaded only when it is used: asking a server needs no engine, and the other way round. */
export async function openBackend(reach: Reach, steps: boolean): Promise<Backend> {
  if (reach.where === 'server') {
    const { RemoteBackend } = await import('./remote.ts')
    return new RemoteBackend(reach.url, reach.token, reach.options)
  }
  // The thread loads what it needs while this one does: that halves the time until the first step.
  const stepThread = steps ? startStepThread() : undefined
  try {
    const { EmbeddedBackend } = await import('./embedded.ts')
    return await EmbeddedBackend.open(reach.dataDir, reach.options, stepThread)
  } catch (error) {
    await stepThread?.terminate()
    throw error
  }
}
