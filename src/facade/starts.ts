import type { JobView } from '../engine/job.ts'
import type { Engine, Services, StartRequest } from '../engine/services.ts'
import { BackupError } from '../lib/errors.ts'
import type { Call, Starts } from './facade.ts'

/**
 * Remembers which job a key started. A caller whose reply was lost sends the start again under the
 * same key and gets the job that is there, also while the first call still runs. The engine is given
 * the key too: it remembers beyond the life of this process.
 */
export function createStarts(capacity = 1_000): Starts {
  const begin = async ({ engine, access }: Services, request: StartRequest, call: Call): Promise<JobView> => {
    access.admitStart(call.session)
    await refuseTooMany(engine)
    return engine.start(request)
  }
  const known = new Map<string, Promise<number>>()
  return {
    async start(services, asked, call) {
      const request = { ...asked, startedBy: call.session.name }
      if (call.key === undefined) return begin(services, request, call)
      const name = nameOf(call, call.key, request.kind)
      const earlier = known.get(name)
      if (earlier !== undefined) return services.engine.get(await earlier)
      const started = begin(services, { ...request, key: call.key }, call)
      remember(known, name, started, capacity)
      return started
    },
  }
}

/** Jobs that have not ended. Each keeps files and handles, whoever started it. */
const MOST_UNFINISHED = 100

async function refuseTooMany(engine: Engine): Promise<void> {
  const { total } = await engine.list({ status: 'running', limit: 1 })
  if (total < MOST_UNFINISHED) return
  throw new BackupError('TOO_MANY_REQUESTS', `${total} jobs have been started and have not ended`, {
    hint: 'Finish or cancel some of them.',
    data: { retryAfterMs: 60_000 },
  })
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
