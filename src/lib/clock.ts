/** Time, through one door (law 12): a test can stop it, jump it, or let it run backwards. */
export interface Clock {
  /** Wall clock, milliseconds since 1970 UTC. For people and for other machines only. */
  wall(): number
  /** Monotonic milliseconds since boot, the same for all processes of this machine where the system allows. */
  mono(): number
  /** Resolves after `ms`, or at once when the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

export const systemClock: Clock = {
  wall: () => Date.now(),
  mono: () => Number(process.hrtime.bigint() / 1000n) / 1000,
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve()
      const done = (): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', done)
        resolve()
      }
      const timer = setTimeout(done, ms)
      signal?.addEventListener('abort', done, { once: true })
    }),
}
