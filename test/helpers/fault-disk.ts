import { errnoOf } from '../../src/lib/errors.ts'
import type { Disk, DirReader, DiskPath, OpenMode } from '../../src/lib/disk.ts'
import { systemError } from './memory/errno.ts'
import { MemoryDisk } from './memory-disk.ts'
import type { Random } from './random.ts'

export type CallName = keyof Disk | 'next'

/** One call as a plan sees it. */
export interface Call {
  /** 1-based, over all calls. */
  readonly index: number
  readonly name: CallName
  /** Changes something on the disk, or promises that a change lasts. */
  readonly changes: boolean
  readonly path: string
  /** Bytes to write or read; 0 for other calls. */
  readonly length: number
  readonly mode: OpenMode | null
}

export type FaultCode = 'ENOSPC' | 'EDQUOT' | 'EIO' | 'EROFS' | 'EMFILE' | 'EACCES' | 'EINTR'

export type Fault =
  /** The process is dead before, inside (half of a write is done) or after the call, and stays dead. */
  | { readonly kind: 'stop'; readonly when: 'before' | 'inside' | 'after' }
  /** `sticky`: this call and every later one that the plan counts. `partial`: half of a write is done first. */
  | { readonly kind: 'error'; readonly code: FaultCode; readonly sticky?: boolean; readonly partial?: boolean }

export interface FaultPlan {
  /** Which calls are counted; default: those that change something. */
  readonly counts?: (call: Call) => boolean
  /** The counted call, 1-based, at which the fault strikes. */
  readonly at?: number
  readonly fault?: Fault
  /** Writes and reads of more than one byte do only a part. `half`, or a part drawn at random. */
  readonly short?: { readonly writes?: 'half' | Random; readonly reads?: 'half' | Random }
  /** Remember every call, for `trace`. */
  readonly record?: boolean
}

/** Thrown by every call once the process is dead. Whoever swallows it finds the next call throwing it again. */
export class Stopped extends Error {
  constructor(call: Call) {
    super(`stopped at ${describeCall(call)}`)
    this.name = 'Stopped'
  }
}

export const changes = (call: Call): boolean => call.changes
export const everyCall = (): boolean => true
export const writes = (call: Call): boolean => WRITES.has(call.name)
export const syncs = (call: Call): boolean => SYNCS.has(call.name)

const calls = (names: string): ReadonlySet<CallName> => new Set(names.split(' ') as CallName[])

const DISK_CALLS = calls(
  'open read write writeAsync truncate datasync datasyncAsync fsync fsyncAsync close fstat lstat stat opendir readdir readlink ' +
    'realpath mkdir rmdir unlink rename link symlink fchmod fchown lchown futimes lutimes free writable',
)
const SYNCS = calls('datasync datasyncAsync fsync fsyncAsync')
const CHANGES = calls(
  'write writeAsync truncate datasync datasyncAsync fsync fsyncAsync mkdir rmdir unlink rename link symlink ' +
    'fchmod fchown lchown futimes lutimes',
)
const GROWS = calls('write writeAsync mkdir link symlink rename datasync datasyncAsync fsync fsyncAsync')
const WRITES = calls('write writeAsync')
const LATER = calls('writeAsync datasyncAsync fsyncAsync')
const OPENS = calls('open opendir readdir')

/** Whether the system may answer this call so: a full disk refuses no read, and closing never runs out of handles. */
export function mayFailWith(call: Call, code: FaultCode): boolean {
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return GROWS.has(call.name) || (call.name === 'open' && call.mode === 'create')
    case 'EROFS':
      return (
        (call.changes && !SYNCS.has(call.name)) ||
        (call.name === 'open' && (call.mode === 'update' || call.mode === 'append'))
      )
    case 'EMFILE':
      return OPENS.has(call.name)
    case 'EIO':
      return call.name !== 'close'
    default:
      return true
  }
}

export function describeCall(call: Call): string {
  const size = call.length > 0 ? ` ${call.length} bytes` : ''
  return `call ${call.index}: ${call.name}${call.mode === null ? '' : ` ${call.mode}`} ${call.path}${size}`
}

export interface FaultDisk extends Disk {
  /** Counted calls so far. */
  readonly counted: number
  /** The call at which the fault struck first. */
  readonly struck: Call | null
  readonly stopped: boolean
  readonly trace: readonly string[]
}

type Method = (...args: unknown[]) => unknown

/** Wraps any disk: counts its calls, remembers them, and strikes as planned. */
export function faultDisk(inner: Disk, plan: FaultPlan = {}): FaultDisk {
  const state = new Striker(inner, plan)
  const disk: Record<string, unknown> = {}
  for (const name of DISK_CALLS as ReadonlySet<keyof Disk>) {
    const method = inner[name].bind(inner) as unknown as Method
    disk[name] = (...args: unknown[]) => state.perform(name, method, args)
  }
  Object.defineProperties(disk, {
    counted: { get: () => state.counted },
    struck: { get: () => state.struck },
    stopped: { get: () => state.dead !== null },
    trace: { get: () => state.trace },
  })
  return disk as unknown as FaultDisk
}

class Striker {
  readonly trace: string[] = []
  counted = 0
  struck: Call | null = null
  dead: Stopped | null = null
  readonly #inner: Disk
  readonly #plan: FaultPlan
  readonly #paths = new Map<number, string>()
  #index = 0

  constructor(inner: Disk, plan: FaultPlan) {
    this.#inner = inner
    this.#plan = plan
  }

  perform(name: CallName, method: Method, args: unknown[]): unknown {
    const later = LATER.has(name)
    try {
      const result = this.#perform(name, method, args)
      return result
    } catch (error) {
      if (later) return Promise.reject(error)
      throw error
    }
  }

  #perform(name: CallName, method: Method, args: unknown[]): unknown {
    if (this.dead !== null) throw this.dead
    const call = this.#describe(name, args)
    const line = this.#plan.record === true ? this.trace.push(describeCall(call)) - 1 : -1
    const strikes = this.#strikes(call)
    try {
      if (!strikes) return this.#done(call, method, args)
      return this.#strike(call, method, args)
    } catch (error) {
      if (line >= 0) this.trace[line] += ` ✗ ${errnoOf(error) ?? String(error)}`
      throw error
    }
  }

  #strikes(call: Call): boolean {
    if (!(this.#plan.counts ?? changes)(call)) return false
    this.counted++
    const { at, fault } = this.#plan
    if (at === undefined || fault === undefined) return false
    return fault.kind === 'error' && fault.sticky === true ? this.counted >= at : this.counted === at
  }

  #strike(call: Call, method: Method, args: unknown[]): unknown {
    this.struck ??= call
    const { fault } = this.#plan
    if (fault?.kind === 'error') return this.#fail(call, method, args, fault)
    if (fault?.when === 'inside') this.#half(call, method, args)
    const result = fault?.when === 'after' ? this.#done(call, method, args) : undefined
    const stopped = new Stopped(call)
    this.dead = stopped
    if (!(result instanceof Promise)) throw stopped
    // The call runs to its end in the kernel, but nobody is there to be told.
    return result.then(
      () => Promise.reject(stopped),
      () => Promise.reject(stopped),
    )
  }

  #fail(call: Call, method: Method, args: unknown[], fault: Extract<Fault, { kind: 'error' }>): never {
    if (fault.partial === true) this.#half(call, method, args)
    if (syncs(call) && this.#inner instanceof MemoryDisk) this.#inner.dropUnsynced(args[0] as number)
    throw systemError(fault.code, call.name, call.path)
  }

  /** Half of a write; nothing of any other call. */
  #half(call: Call, method: Method, args: unknown[]): void {
    if (!writes(call) || call.length < 2) return
    const [fd, bytes, offset, length, position] = args
    const result = method(fd, bytes, offset, Math.floor((length as number) / 2), position)
    if (result instanceof Promise) result.catch(() => 'the call fails anyway')
  }

  #done(call: Call, method: Method, args: unknown[]): unknown {
    const result = method(...this.#shortened(call, args))
    if (call.name === 'open') this.#paths.set(result as number, call.path)
    if (call.name === 'close') this.#paths.delete(args[0] as number)
    if (call.name !== 'opendir') return result
    return this.#reader(result as DirReader, call.path)
  }

  /** A folder is read call by call, and any of them may fail. */
  #reader(reader: DirReader, path: string): DirReader {
    const next = (() => reader.next()) as unknown as Method
    return {
      next: () => this.perform('next', next, [path]) as ReturnType<DirReader['next']>,
      close: () => reader.close(),
    }
  }

  #shortened(call: Call, args: unknown[]): unknown[] {
    const how = writes(call) ? this.#plan.short?.writes : call.name === 'read' ? this.#plan.short?.reads : null
    if (how === undefined || how === null || call.length < 2) return args
    const part = how === 'half' ? Math.ceil(call.length / 2) : 1 + how.int(call.length)
    const shortened = [...args]
    shortened[3] = part
    return shortened
  }

  #describe(name: CallName, args: readonly unknown[]): Call {
    const [first, second, , fourth] = args
    const path = typeof first === 'number' ? (this.#paths.get(first) ?? `#${first}`) : String(first as DiskPath)
    const mode = name === 'open' ? (second as OpenMode) : null
    const two = name === 'rename' || name === 'link' || name === 'symlink'
    return {
      index: ++this.#index,
      name,
      changes: CHANGES.has(name) || mode === 'create',
      path: two ? `${path} → ${String(second as DiskPath)}` : path,
      length: WRITES.has(name) || name === 'read' ? (fourth as number) : 0,
      mode,
    }
  }
}
