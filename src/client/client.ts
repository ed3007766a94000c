import { randomUUID } from 'node:crypto'
import { systemClock, type Clock } from '../lib/clock.ts'
import { downloadUrl, openDownload, ticketUrl } from './download.ts'
import { runLoop, type Driver, type RunOptions } from './loop.ts'
import { RETRY, retrying, type Policy, type RetryOptions } from './retry.ts'
import { endpointOf, exchange, type Fetch, type Target } from './transport.ts'
import type * as t from './types.ts'

export interface ClientOptions {
  /** Address of the server, for example `http://127.0.0.1:8731`. */
  readonly url: string
  /** API token, or the token of a login. Absent: only `login` and `setUp` are answered. */
  readonly token?: string
  readonly fetch?: Fetch
  readonly clock?: Clock
  readonly retry?: RetryOptions
}

export interface CallOptions {
  readonly signal?: AbortSignal
  /** false: one try only. */
  readonly retry?: boolean
}

/** A job that exists already, to be driven on. */
export interface Resume {
  readonly backupid: t.JobHandle
}

const isResume = (job: object): job is Resume => 'backupid' in job

const refOf = (job: t.JobHandle): { backupid: t.JobHandle } => ({ backupid: job })

/**
 * Speaks JSON-RPC with a server. Each call carries a UUID, kept through its repeats, and each step
 * the number it awaits: a reply that was lost is answered again, nothing is done twice.
 */
export class RatchetClient {
  readonly #target: Target
  readonly #policy: Policy

  constructor(options: ClientOptions) {
    this.#target = {
      url: endpointOf(options.url),
      token: options.token ?? '',
      fetch: options.fetch ?? ((url, init) => fetch(url, init)),
      clock: options.clock ?? systemClock,
    }
    this.#policy = { ...RETRY, ...options.retry }
  }

  /** Any method. RatchetError: refused; ConnectionError: no usable answer until patience ran out. */
  async call<T>(method: string, params?: object, options: CallOptions = {}): Promise<T> {
    const request = { id: randomUUID(), method, ...(params === undefined ? {} : { params }) }
    const once = (): Promise<unknown> => exchange(this.#target, request, options.signal)
    const result = options.retry === false ? once() : retrying(once, this.#policy, this.#target.clock, options.signal)
    return (await result) as T // the wire's schemas promise the shape
  }

  /** One try, without the token: an old one must not keep anybody from getting a new one. */
  async #asStranger<T>(method: string, params: object, options: CallOptions = {}): Promise<T> {
    return (await exchange({ ...this.#target, token: '' }, { id: randomUUID(), method, params }, options.signal)) as T
  }

  getVersion(options?: CallOptions): Promise<{ version: string; api: number; formats: string[] }> {
    return this.call('getVersion', undefined, options)
  }

  async getProfiles(options?: CallOptions): Promise<t.Profile[]> {
    return (await this.call<{ profiles: t.Profile[] }>('getProfiles', undefined, options)).profiles
  }

  getProfile(id: number, options?: CallOptions): Promise<t.Profile> {
    return this.call('getProfile', { id }, options)
  }

  saveProfile(profile: t.ProfileInput, options?: CallOptions): Promise<t.Profile> {
    return this.call('saveProfile', profile, options)
  }

  /** A profile as a document, for `importProfile` of another server. */
  exportProfile(id: number, options?: CallOptions): Promise<t.ProfileDocument> {
    return this.call('exportProfile', { id }, options)
  }

  /** A number that is taken is an error unless `as` or `replace` says what to do. */
  importProfile(document: t.ProfileDocument, choice: t.ImportChoice = {}, options?: CallOptions): Promise<t.Profile> {
    return this.call('importProfile', { document, ...choice }, { retry: choice.replace === true, ...options })
  }

  deleteProfile(id: number, options?: CallOptions): Promise<{ removed: number }> {
    return this.call('deleteProfile', { id }, options)
  }

  startBackup(params: t.StartBackupParams = {}, options?: CallOptions): Promise<t.StepReply> {
    return this.call('startBackup', params, options)
  }

  /** `step`: the number of the awaited reply. */
  stepBackup(job: t.JobHandle, step?: number, options?: CallOptions): Promise<t.StepReply> {
    return this.#step('stepBackup', job, step, options)
  }

  startRestore(params: t.StartRestoreParams, options?: CallOptions): Promise<t.StepReply> {
    return this.call('startRestore', params, options)
  }

  stepRestore(job: t.JobHandle, step?: number, options?: CallOptions): Promise<t.StepReply> {
    return this.#step('stepRestore', job, step, options)
  }

  startVerify(params: t.StartVerifyParams, options?: CallOptions): Promise<t.StepReply> {
    return this.call('startVerify', params, options)
  }

  stepVerify(job: t.JobHandle, step?: number, options?: CallOptions): Promise<t.StepReply> {
    return this.#step('stepVerify', job, step, options)
  }

  /** Jobs of any kind. */
  cancelBackup(job: t.JobHandle, options?: CallOptions): Promise<t.StepReply> {
    return this.call('cancelBackup', refOf(job), options)
  }

  listBackups(params: t.ListParams = {}, options?: CallOptions): Promise<{ total: number; jobs: t.JobSummary[] }> {
    return this.call('listBackups', params, options)
  }

  getBackupInfo(job: t.JobHandle, options?: CallOptions): Promise<t.BackupInfo> {
    return this.call('getBackupInfo', refOf(job), options)
  }

  /** A page of a job's log: go on at `next` until it is beyond `total`. */
  getLog(job: t.JobHandle, query: t.LogParams = {}, options?: CallOptions): Promise<t.LogPage> {
    return this.call('getLog', { ...refOf(job), ...query }, options)
  }

  /** What a finished backup, or another archive, holds: one page. */
  browseBackup(params: t.BrowseParams, options?: CallOptions): Promise<t.BrowsePage> {
    return this.call('browseBackup', params, options)
  }

  /** A link for somebody who has no token: good once, for a minute. */
  async createDownloadTicket(
    job: t.JobHandle,
    target: t.DownloadTarget,
    options?: CallOptions,
  ): Promise<t.DownloadTicket> {
    const ticket = await this.call<t.DownloadTicket>('createDownloadTicket', { ...refOf(job), ...target }, options)
    return { ...ticket, url: ticketUrl(this.#target.url, ticket.url) }
  }

  /**
   * Begins a download. One try: whoever keeps what came goes on with `from` and `sha256`. RatchetError: refused;
   * ConnectionError: no usable answer.
   */
  download(job: t.JobHandle, target: t.DownloadTarget, options: t.DownloadOptions = {}): Promise<t.Download> {
    return openDownload(this.#target, downloadUrl(this.#target.url, job, target), options)
  }

  /** By default files and record. */
  deleteBackup(
    job: t.JobHandle,
    what: 'files' | 'record' | 'both' = 'both',
    options?: CallOptions,
  ): Promise<{ removed: number }> {
    return this.call('deleteBackup', { ...refOf(job), what }, options)
  }

  /** `frozen`: false to unfreeze. */
  freezeBackup(job: t.JobHandle, frozen = true, options?: CallOptions): Promise<{ number: number; frozen: boolean }> {
    return this.call('freezeBackup', { ...refOf(job), frozen }, options)
  }

  previewRetention(params: t.PreviewParams = {}, options?: CallOptions): Promise<t.RetentionPreview> {
    return this.call('previewRetention', params, options)
  }

  /** Whether databases of a profile could be backed up now; `database`: only that one. */
  testDatabase(
    params: { profile?: number; database?: string } = {},
    options?: CallOptions,
  ): Promise<{ databases: t.DatabaseTest[] }> {
    return this.call('testDatabase', params, options)
  }

  /** A session token for user and password, to be given to a client of its own. One try: wrong ones are counted. */
  login(user: string, password: string, options?: CallOptions): Promise<t.LoginResult> {
    return this.#asStranger('login', { user, password }, options)
  }

  /** Makes the first admin, with the token that the first start of the server prints. */
  setUp(params: { setupToken: string; name: string; password: string }, options?: CallOptions): Promise<t.User> {
    return this.#asStranger('setUp', params, options)
  }

  async logout(options?: CallOptions): Promise<void> {
    await this.call('logout', undefined, options)
  }

  whoAmI(options?: CallOptions): Promise<t.Identity> {
    return this.call('whoAmI', undefined, options)
  }

  async changePassword(old: string, password: string, options?: CallOptions): Promise<void> {
    await this.call('changePassword', { old, password }, { retry: false, ...options })
  }

  async listUsers(options?: CallOptions): Promise<t.User[]> {
    return (await this.call<{ users: t.User[] }>('listUsers', undefined, options)).users
  }

  saveUser(user: t.UserParams, options?: CallOptions): Promise<t.User> {
    return this.call('saveUser', user, options)
  }

  async deleteUser(name: string, options?: CallOptions): Promise<void> {
    await this.call('deleteUser', { name }, options)
  }

  /** One try: a repeat would make another token. `secret` is answered this once. */
  createToken(token: t.TokenParams, options?: CallOptions): Promise<t.Token & { secret: string }> {
    return this.call('createToken', token, { retry: false, ...options })
  }

  async listTokens(options?: CallOptions): Promise<t.Token[]> {
    return (await this.call<{ tokens: t.Token[] }>('listTokens', undefined, options)).tokens
  }

  async revokeToken(id: string, options?: CallOptions): Promise<void> {
    await this.call('revokeToken', { id }, options)
  }

  /** Entries of the audit trail from number `from` on; without it the newest. */
  getAudit(params: { from?: number; limit?: number } = {}, options?: CallOptions): Promise<t.AuditPage> {
    return this.call('getAudit', params, options)
  }

  /** Starts a backup, or goes on with one, and steps it to its end. Its last reply; `Error` says how it ended. */
  run(job: t.StartBackupParams | Resume = {}, options: RunOptions = {}): Promise<t.StepReply> {
    return this.#run('backup', job, options)
  }

  runRestore(job: t.StartRestoreParams | Resume, options: RunOptions = {}): Promise<t.StepReply> {
    return this.#run('restore', job, options)
  }

  runVerify(job: t.StartVerifyParams | Resume, options: RunOptions = {}): Promise<t.StepReply> {
    return this.#run('verify', job, options)
  }

  /** Goes on with a job of whatever kind. */
  async resume(job: t.JobHandle, options: RunOptions = {}): Promise<t.StepReply> {
    const { kind } = await this.getBackupInfo(job, signalOf(options))
    return this.#run(kind, { backupid: job }, options)
  }

  #step(method: string, job: t.JobHandle, step: number | undefined, options?: CallOptions): Promise<t.StepReply> {
    return this.call(method, { ...refOf(job), ...(step === undefined ? {} : { step }) }, options)
  }

  #run(kind: t.JobKind, job: object, options: RunOptions): Promise<t.StepReply> {
    const names = { backup: 'Backup', restore: 'Restore', verify: 'Verify' }
    const driver: Driver = {
      clock: this.#target.clock,
      first: (call) => (isResume(job) ? this.#current(job, call) : this.call(`start${names[kind]}`, job, call)),
      step: (id, step, call) => this.#step(`step${names[kind]}`, id, step, call),
      current: (id, call) => this.#current({ backupid: id }, call),
      cancel: (id) => this.cancelBackup(id, { retry: false }),
    }
    return runLoop(driver, options)
  }

  /** A stalled job shows itself as over; a step wakes it. */
  async #current(job: Resume, call: CallOptions): Promise<t.StepReply> {
    const { current, status } = await this.getBackupInfo(job.backupid, call)
    return status === 'stalled' ? { ...current, HasRun: true, Error: '' } : current
  }
}

const signalOf = ({ signal }: RunOptions): CallOptions => (signal === undefined ? {} : { signal })
