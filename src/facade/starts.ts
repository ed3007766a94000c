import type { JobView } from '../engine/job.ts'
import type { Call, Starts } from './facade.ts'

/**
 * Remembers which job a key started. A caller whose reply was lost sends the start again under the
 * same key and gets the job that is there, also while the first call still runs. The engine is given
 * the key too: it remembers beyond the life of this process.
 */
export function createStarts(capacity = 1_000): Starts {
  const known = new Map<string, Promise<number>>()
  return {
    async start(engine, asked, call) {
      const request = { ...asked, startedBy: call.session.name }
      if (call.key === undefined) return engine.start(request)
      const name = nameOf(call, call.key, request.kind)
      const earlier = known.get(name)
      if (earlier !== undefined) return engine.get(await earlier)
      const started = engine.start({ ...request, key: call.key })
      remember(known, name, started, capacity)
      return started
    },
  }
}

const nameOf = (call: Call, key: string, kind: string): string => JSON.stringify([call.session.name, kind, key])

function remember(
  known: Map<string, Promise<number>>,
  name: string,
  started: Promise<JobView>,
  capacity: number,
): void {
  const number = started.then((job) => job.number)
  known.set(name, number)
  number.catch(() => known.delete(name)) // a start that failed may be tried again under its key
  for (const oldest of known.keys()) {
    if (known.size <= capacity) break
    known.delete(oldest)
  }
}
