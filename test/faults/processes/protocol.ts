/** What a stepper is told, as JSON in its first argument. It begins when the number of the last step seen comes in. */
export interface StepperOrder {
  dataDir: string
  number: number
  /** Steps carry the number they await: the one after the last seen. */
  expect?: boolean
  act?: 'step' | 'cancel'
  /** Calls at most. */
  turns?: number
  threads?: number
  graceMs?: number
  /** Pause after JOB_BUSY. Milliseconds. */
  pauseMs?: number
  /** Say when stages are worked in. */
  trace?: boolean
  /** Stops itself (SIGSTOP) right before a call that changes the disk. */
  stopAt?: StopAt
}

export interface StopAt {
  /** The n-th of the calls that match, counted from 1. */
  n: number
  /** Name of the call, and text that its paths must hold; default: any. */
  call?: string
  path?: string
}

export interface StepReply {
  steps: number
  status: string
  percent: number
  epoch: number
  step: string
  archive: string | null
}

/** What a stepper says, one JSON line each. Times are monotonic milliseconds of the machine. */
export type Line =
  | { event: 'ready' | 'begin' | 'stopping' | 'end' | 'enter' | 'leave'; at: number }
  | { event: 'reply'; from: number; at: number; reply: StepReply }
  | { event: 'error'; from: number; at: number; code: string; text: string }
