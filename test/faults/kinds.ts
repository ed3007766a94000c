import { changes, mayFailWith, syncs, writes, type Call, type Fault, type FaultCode } from '../helpers/fault-disk.ts'

type Code = Extract<FaultCode, 'ENOSPC' | 'EIO' | 'EROFS' | 'EMFILE'>

/**
 * What can happen at a call. `stop-…`: the process dies there, the page cache stays. `power`: the
 * machine dies before the call (and after the last one), in several states it may leave. `twice`:
 * the process dies, and so does the one that takes over, with power cuts. `sync-…`: a sync fails
 * and its data is lost for good. `…-once`: that call only; `…-on`: it and all later ones of the run.
 */
export type FaultKind =
  | 'stop-before'
  | 'stop-inside'
  | 'stop-after'
  | 'power'
  | 'twice'
  | 'sync-once'
  | 'sync-on'
  | `${Code}-once`
  | `${Code}-on`

export interface Kind {
  /** The calls it can strike. */
  readonly counts: (call: Call) => boolean
  readonly fault: Fault
}

const stop = (when: 'before' | 'inside' | 'after', counts: Kind['counts'] = changes): Kind => ({
  counts,
  fault: { kind: 'stop', when },
})
const fails = (code: Code, sticky: boolean, counts: Kind['counts'] = (call) => mayFailWith(call, code)): Kind => ({
  counts,
  fault: { kind: 'error', code, sticky, partial: code === 'ENOSPC' },
})

export const KINDS: Readonly<Record<FaultKind, Kind>> = {
  'stop-before': stop('before'),
  'stop-inside': stop('inside', writes),
  'stop-after': stop('after'),
  power: stop('before'),
  twice: stop('before'),
  'sync-once': fails('EIO', false, syncs),
  'sync-on': fails('EIO', true, syncs),
  'ENOSPC-once': fails('ENOSPC', false),
  'ENOSPC-on': fails('ENOSPC', true),
  'EIO-once': fails('EIO', false),
  'EIO-on': fails('EIO', true),
  'EROFS-once': fails('EROFS', false),
  'EROFS-on': fails('EROFS', true),
  'EMFILE-once': fails('EMFILE', false),
  'EMFILE-on': fails('EMFILE', true),
}

export const ALL_KINDS = Object.keys(KINDS) as FaultKind[]
/** The process or the machine dies; nothing ever answers with an error. */
export const CRASHES: readonly FaultKind[] = ['stop-before', 'stop-inside', 'stop-after', 'power', 'twice']
