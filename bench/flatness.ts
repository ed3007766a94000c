import { median } from './stats.ts'

/** One step as the client saw it. */
export interface Step {
  /** Round trip of the call over HTTP. Milliseconds. */
  readonly ms: number
  readonly domain: string
  /** Totals of the job after the step. */
  readonly entries: number
  readonly bytes: number
}

/** Cost of one unit of work in each step that did some, in the order of the steps. */
export function costs(list: readonly Step[], unit: 'entries' | 'bytes', per: number): number[] {
  const found: number[] = []
  for (const [i, step] of list.entries()) {
    const work = step[unit] - (list[i - 1]?.[unit] ?? 0)
    if (step.domain === 'pack' && list[i - 1]?.domain === 'pack' && work > 0) found.push((step.ms / work) * per)
  }
  return found
}

/** Median cost over the last tenth of the steps as a multiple of that over the first tenth. */
export function flatness(values: readonly number[]): { first: number; last: number; ratio: number } {
  const tenth = Math.max(1, Math.floor(values.length / 10))
  const [first, last] = [median(values.slice(0, tenth)), median(values.slice(-tenth))]
  return { first, last, ratio: last / first }
}
