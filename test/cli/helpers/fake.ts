import { PassThrough } from 'node:stream'
import type {
  JobSummary,
  LogLine,
  LogQuery,
  Removable,
  RestorePreview,
  DatabaseTest,
  RetentionPreview,
} from '../../../src/engine/services.ts'
import type { RetentionPolicy } from '../../../src/engine/spec.ts'
import { readDocument, type ImportChoice, type ProfileDocument } from '../../../src/engine/profile-document.ts'
import { LOG_LEVELS } from '../../../src/lib/log-level.ts'
import { BackupError } from '../../../src/lib/errors.ts'
import type { ErrorRecord } from '../../../src/lib/errors.ts'
import { realDisk } from '../../../src/lib/disk.ts'
import type { AccountStore } from '../../../src/cli/backend/accounts.ts'
import type { ContentStore } from '../../../src/cli/backend/contents.ts'
import type { Backend, JobState, ProfileData, StartRequest, StepRequest } from '../../../src/cli/backend.ts'
import type { Io } from '../../../src/cli/io.ts'
import type { Reach } from '../../../src/cli/reach.ts'
import { run } from '../../../src/cli/run.ts'

const NEVER = { status: 'running', ended: false, error: null, finishedAt: null } as const

export function jobState(change: Partial<JobState> = {}): JobState {
  return {
    ...NEVER,
    number: 1,
    id: '20260629-121045-000001',
    kind: 'backup',
    step: 1,
    percent: 0,
    domain: 'init',
    activity: '',
    detail: '',
    sleepMs: 0,
    totals: { entries: 0, files: 0, bytesRead: 0, bytesWritten: 0, filesExpected: null, bytesExpected: null },
    warnings: { total: 0, fresh: [] },
    gaps: false,
    archive: null,
    description: '',
    createdAt: 1_000,
    ...change,
  }
}

/** Steps that a job of `FakeBackend` takes, before it ends as `end` says. */
export interface Script {
  steps: number
  end?: Partial<JobState>
  /** Thrown instead of the step with this number, once. */
  throwAt?: Record<number, BackupError>
  /** Called before each step. */
  before?: (step: number) => void
}

/** Jobs in memory that move one step at a time. */
export class FakeBackend implements Backend {
  readonly reach: readonly string[] = []
  readonly started: StartRequest[] = []
  readonly stepped: { number: number; options: StepRequest }[] = []
  readonly removed: number[] = []
  readonly removedWhat: Removable[] = []
  readonly frozen: { number: number; frozen: boolean }[] = []
  readonly previews: { profile: number; policy: RetentionPolicy | undefined }[] = []
  preview: RetentionPreview = {
    refused: null,
    backups: [],
    totals: { kept: { count: 0, bytes: 0 }, removed: { count: 0, bytes: 0 }, frozen: { count: 0, bytes: 0 } },
  }
  readonly jobs: JobState[] = []
  readonly saved: unknown[] = []
  readonly logLines: LogLine[] = []
  /** At every look at a log: something may be added, or end. */
  onLog?: () => void
  readonly script: Script
  disposed = 0

  constructor(script: Script = { steps: 3 }) {
    this.script = script
  }

  readonly profiles = {
    list: (): Promise<ProfileData[]> => Promise.resolve([{ id: 1, name: 'Default' }]),
    get: (id: number): Promise<ProfileData> => Promise.resolve({ id, name: 'Default', level: 6 }),
    export: (id: number): Promise<ProfileDocument> =>
      Promise.resolve(
        readDocument({ format: 'ratchet-profile', version: 1, profile: { id, name: 'Default', output: '/out' } }),
      ),
    import: (document: ProfileDocument, choice: ImportChoice): Promise<ProfileData> => {
      this.saved.push({ document, choice })
      return Promise.resolve({ id: 5, name: document.profile.name })
    },
    save: (profile: unknown): Promise<ProfileData> => {
      this.saved.push(profile)
      return Promise.resolve({ id: 2, name: 'saved' })
    },
    remove: (): Promise<void> => Promise.resolve(),
  }

  accounts: AccountStore = fakeAccounts()
  contents: ContentStore = {
    browse: () => Promise.resolve({ entries: [], next: null }),
    fetch: () => Promise.reject(new BackupError('INTERNAL', 'not part of this test')),
  }

  async start(request: StartRequest): Promise<JobState> {
    this.started.push(request)
    const state = jobState({ number: this.jobs.length + 1, kind: request.kind })
    this.jobs.push(state)
    return state
  }

  async step(number: number, options: StepRequest = {}): Promise<JobState> {
    this.stepped.push({ number, options })
    const state = await this.get(number)
    if (state.ended) return state
    const step = state.step + 1
    this.script.before?.(step)
    const error = this.script.throwAt?.[step]
    if (error !== undefined) {
      delete this.script.throwAt?.[step]
      throw error
    }
    const over = step >= this.script.steps
    const end = { status: 'completed', ended: true, percent: 100, finishedAt: 5_000, ...this.script.end } as const
    return this.put({ ...state, status: 'running', step, percent: step * 10, domain: 'pack', ...(over ? end : {}) })
  }

  async get(number: number): Promise<JobState> {
    const found = this.jobs.find((job) => job.number === number)
    if (found === undefined) throw new BackupError('JOB_NOT_FOUND', `there is no job ${number}`)
    return found
  }

  async cancel(number: number): Promise<JobState> {
    return this.put({ ...(await this.get(number)), status: 'cancelled', ended: true })
  }

  async remove(number: number, what: Removable): Promise<void> {
    this.removed.push(number)
    this.removedWhat.push(what)
  }

  async freeze(number: number, frozen: boolean): Promise<void> {
    this.put({ ...(await this.get(number)), ...(frozen ? { frozen } : {}) })
    this.frozen.push({ number, frozen })
  }

  async previewRetention(profile: number, policy?: RetentionPolicy): Promise<RetentionPreview> {
    this.previews.push({ profile, policy })
    return this.preview
  }

  databaseTests: DatabaseTest[] = []
  async testDatabases(): Promise<DatabaseTest[]> {
    return this.databaseTests
  }

  async resolve(id: string): Promise<number> {
    const found = this.jobs.find((job) => job.id === id)
    if (found === undefined) throw new BackupError('JOB_NOT_FOUND', `there is no job ${id}`)
    return found.number
  }

  async list(): ReturnType<Backend['list']> {
    const jobs = this.jobs.toReversed().map(summaryOf)
    return { total: jobs.length, jobs }
  }

  found: RestorePreview | null = null
  async restorePreview(): ReturnType<Backend['restorePreview']> {
    return this.found
  }

  async artifacts(): ReturnType<Backend['artifacts']> {
    return [{ name: 'a.zip', path: '/out/a.zip', size: 10, sha256: 'ab'.repeat(32) }]
  }

  async log(_number: number, { from = 1, limit = 1000, level = 'debug' }: LogQuery): ReturnType<Backend['log']> {
    this.onLog?.()
    const lines = this.logLines
      .slice(from - 1, from - 1 + limit)
      .filter((line) => LOG_LEVELS[line.level] >= LOG_LEVELS[level])
    return {
      lines,
      next: Math.max(from, Math.min(from + limit, this.logLines.length + 1)),
      total: this.logLines.length,
    }
  }

  put(state: JobState): JobState {
    const at = this.jobs.findIndex((job) => job.number === state.number)
    if (at < 0) this.jobs.push(state)
    else this.jobs[at] = state
    return state
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.disposed++
  }
}

function fakeAccounts(): AccountStore {
  const nothing = (): Promise<never> => Promise.reject(new BackupError('INTERNAL', 'not part of this test'))
  return {
    users: () => Promise.resolve([]),
    saveUser: nothing,
    removeUser: nothing,
    tokens: () => Promise.resolve([]),
    createToken: nothing,
    revokeToken: nothing,
    login: nothing,
    audit: () => Promise.resolve({ entries: [], total: 0 }),
    verifyAudit: nothing,
  }
}

function summaryOf(state: JobState): JobSummary {
  const { number, id, kind, description, archive, createdAt, finishedAt } = state
  const status = state.status === 'completed_with_warnings' || state.status === 'partial' ? 'completed' : state.status
  const numbers = { profile: 1, files: 3, bytes: 30, size: 20, warnings: 0, updatedAt: createdAt }
  return { number, id, kind, status, outcome: state.status, description, archive, createdAt, finishedAt, ...numbers }
}

export interface Ran {
  code: number
  out: string
  err: string
  /** stdout as JSON lines. */
  lines: Record<string, unknown>[]
  reached: Reach[]
}

export interface RunOptions {
  backend?: Backend
  env?: Record<string, string>
  /** Given: receives the function that delivers a signal. */
  signals?: (send: () => void) => void
  exited?: (code: number) => void
  /** What comes on standard input. */
  input?: string
}

/** Runs a command line in this process, against a fake. */
export async function cli(argv: string[], options: RunOptions = {}): Promise<Ran> {
  const out: string[] = []
  const err: string[] = []
  const reached: Reach[] = []
  const stderr = new PassThrough()
  stderr.on('data', (chunk: Buffer) => err.push(chunk.toString()))
  let mono = 0
  const io: Io = {
    stdout: { write: (text) => out.push(typeof text === 'string' ? text : Buffer.from(text).toString('utf8')) },
    stderr,
    stdin: Object.assign(new PassThrough().end(options.input ?? ''), { isTTY: false }),
    env: { HOME: '/home/user', ...options.env },
    cwd: '/work-here',
    clock: { wall: () => 0, mono: () => (mono += 10), sleep: async (ms) => void (mono += ms) },
    disk: realDisk,
    open: async (reach) => {
      reached.push(reach)
      return options.backend ?? new FakeBackend()
    },
    onSignal: (listener) => {
      options.signals?.(listener)
      return () => undefined
    },
    exit: (code) => options.exited?.(code),
  }
  const code = await run(argv, io, '1.2.3')
  await new Promise((resolve) => setImmediate(resolve))
  return { code, out: out.join(''), err: err.join(''), lines: jsonLines(out.join('')), reached }
}

function jsonLines(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .filter((line) => /^\{.+\}$/.test(line))
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

export function failedWith(error: Partial<ErrorRecord>): Partial<JobState> {
  return {
    status: 'failed',
    error: { code: 'IO_ERROR', message: 'the disk is broken', hint: 'Check it.', retry: 'later', ...error },
  }
}
