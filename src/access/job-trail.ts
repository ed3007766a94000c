import type { Audit, Engine } from '../engine/services.ts'

/** The name in the trail of whoever works on the data folder of this host itself. */
export const LOCAL_NAME = '@local'

type JobSeen = Awaited<ReturnType<Engine['get']>>

/**
 * Notes how jobs end, and that they stall: whoever asked for the step, on a server or a command line, is told, but may
 * not be there any more. Returns the function that ends it.
 */
export function noteJobs(events: Engine['events'], audit: Audit): () => void {
  const note = (event: string, { kind, number, status, startedBy = LOCAL_NAME }: JobSeen): void =>
    audit.note({
      event: `${kind}.${event}`,
      actor: startedBy,
      object: `job:${number}`,
      result: status,
      face: '',
      address: '',
      request: '',
    })
  const off = [
    events.on('finished', (job) => note('end', job)),
    events.on('progress', (job) => {
      if (job.status === 'stalled') note('stall', job)
    }),
  ]
  return () => off.forEach((one) => one())
}
