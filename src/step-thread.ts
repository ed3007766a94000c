import { startThread, type Thread } from './lib/thread.ts'

/** MiB of heap for a step thread; the rest of its memory are buffers. */
const HEAP = 96
/** MiB: short-lived buffers are freed when the young generation is full, so it is kept small. */
const YOUNG = 4

const ENTRY = new URL(`./step-loop.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url)

/**
 * A thread that loads what steps. Whose jobs they are, its first message says: so it can be started before anything
 * else is known or loaded.
 */
export function startStepThread(): Thread {
  const thread = startThread(ENTRY, {
    resourceLimits: { maxOldGenerationSizeMb: HEAP, maxYoungGenerationSizeMb: YOUNG },
  })
  thread.unref()
  // Until somebody uses it nobody listens, and an error without a listener would end the process.
  thread.on('error', () => 'its end says enough')
  return thread
}
