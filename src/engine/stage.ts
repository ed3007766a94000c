import type { AppendFile } from '../lib/append-file.ts'
import type { Clock } from '../lib/clock.ts'
import type { Disk } from '../lib/disk.ts'
import type { LogLevel } from '../lib/log-level.ts'
import type { LogFields } from '../lib/logger.ts'
import type { Job, Part, Totals, WarningCode } from './job.ts'
import type { PublishedFile } from './published.ts'
import type { PreviewCounts } from './restore-preview.ts'
import type { JobSpec } from './spec.ts'

/** The file to read first: what a stage is, and what it may ask for. */

export type StageName =
  | 'init'
  | 'installer'
  | 'db'
  | 'pack'
  | 'seal'
  | 'verify'
  | 'publish'
  | 'retention'
  | 'open-archive'
  | 'extract'
  | 'finish-restore'
  | 'preview-restore'
  | 'open-load'
  | 'load'
  | 'check-archive'

/** The first of them are the words of the JSON-RPC wire; restore and verify jobs show their own. */
export type Domain = 'init' | 'installer' | 'db' | 'pack' | 'finalization' | 'restore' | 'verify'

export interface Progress {
  /** Free text for people: what is being worked on, and detail about it. */
  step: string
  substep?: string
  /** Work done and in all within this stage, in bytes or entries, for the percentage only. */
  done?: number
  total?: number
  /** Barrier: do not resume me before this is on disk. */
  durable?: true
  /** What is under way cannot be cut: the step goes on even if its time is up. Its end is still its own to reach. */
  beyond?: true
  /** Nothing is in flight and too little time is left to begin more: end the step here. */
  idle?: true
}

/**
 * A resumable piece of work. At every yield the slots and work files it owns say exactly what has
 * been done; nothing else is needed to go on. Leaving early is `return()`.
 */
export type Steps<R = void> = AsyncGenerator<Progress, R, void>

export interface Stage {
  readonly name: StageName
  readonly domain: Domain
  /** Share of the whole job's time, relative to the other stages of the plan. */
  weight(spec: JobSpec): number
  /** The only entrance: resuming is starting (law 2). */
  run(ctx: StageContext): Steps<void | { backTo: StageName }>
  /** Takes back what it has made outside the job's own folders; asked once, when the job is cancelled while this one runs. */
  undo?(ctx: StageContext): Promise<void>
}

/** Where a work file lies: beside the record, or on the output's own file system. */
export type Place = 'side' | 'out'

export interface StageContext {
  readonly spec: JobSpec
  readonly job: Readonly<Job>
  readonly disk: Disk
  readonly clock: Clock
  /** Cancel, lost lease, shutdown. */
  readonly signal: AbortSignal
  /** True when a generator should finish what is in flight and begin nothing new. */
  readonly closing: boolean
  /** Milliseconds of the slice that are left for work. */
  readonly left: number
  /** The component's object in the record (plain JSON); created on first use. Mutate it in place. */
  slot<T extends object>(key: string, initial: () => T): T
  /** Forgets a slot. */
  clearSlot(key: string): void
  /** A work file, opened at its committed length (its tail is cut on first use in a step). */
  file(name: string, place?: Place): AppendFile
  /**
   * A complete file that another program has written into the folder of a place becomes a work file, all of it: from
   * the next commit on.
   */
  adopt(name: string, place?: Place): AppendFile
  /** Closes a work file's handle; it stays in the record. */
  release(name: string, place?: Place): void
  /** Forgets a work file with the next commit; it is unlinked at the next take. */
  drop(name: string, place?: Place): void
  /** Takes a work file out of the record without removing it: it is complete and listed elsewhere. */
  hand(name: string, place?: Place): void
  /** Path of a work file, and of the folder that holds those of one place. */
  path(name: string, place?: Place): string
  folder(place: Place): string
  /** What a process may keep between steps (handles, indexes, hashes); it may vanish at any step. */
  keep<T extends Disposable>(key: string, make: () => T): T
  forget(key: string): void
  /** The participant of that name, made at its first mention. Good until the next one is asked for. */
  part(name: string): Part
  /** All of them, in the order of their first mention. */
  parts(): Part[]
  /** Adds to the totals. Same law as slots. */
  count(delta: Partial<Record<Exclude<keyof Totals, 'filesExpected' | 'bytesExpected'>, number>>): void
  expect(files: number, bytes: number): void
  /** `fields` stand beside the message in the log: the path it is about, for example. */
  warn(code: WarningCode, message: string, fields?: LogFields): void
  /** Line in the job's log. */
  log(level: LogLevel, message: string, fields?: LogFields): void
  setArchive(name: string): void
  /** What the dry run of a restore has found. */
  setPreview(found: PreviewCounts): void
  /** Lists a published file (work file `artifacts`). */
  addArtifact(artifact: PublishedFile): void
  artifacts(): PublishedFile[]
}

export type StageFactory<P> = (parts: P) => Stage
