import type { JobState } from '../backend.ts'
import { count, duration, printable, size } from '../format.ts'
import type { Meter } from '../meter.ts'

/** `1.2 GiB of 3.0 GiB`; restores and sources not counted yet have no "of". */
export function amount(state: JobState): string {
  const { bytesRead, bytesExpected, files } = state.totals
  if (bytesExpected === null) return `${size(bytesRead)}, ${count(files, 'file')}`
  return `${size(Math.min(bytesRead, bytesExpected))} of ${size(bytesExpected)}`
}

export function rate(meter: Meter): string {
  return meter.rate === null ? '' : `${size(meter.rate)}/s`
}

export function left(meter: Meter): string {
  return meter.left === null ? '' : `${duration(meter.left)} left`
}

/** `pack: uploads/a.jpg`, in one harmless line. */
export function activity(state: JobState): string {
  const what = [state.activity, state.detail].filter((text) => text !== '').join(' ')
  return printable(what === '' ? state.domain : `${state.domain}: ${what}`)
}

/** A job that waits tells why: the error of the attempt that will be repeated. */
export function waiting(state: JobState): string | null {
  if (state.ended || state.error === null) return null
  return printable(
    `${state.error.message} [${state.error.code}]; trying again in ${duration(state.sleepMs)}. ${state.error.hint}`,
  )
}
