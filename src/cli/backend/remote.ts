import { RatchetClient } from '../../client/client.ts'
import type { BackupInfo, JobKind, ProfileInput, StepReply } from '../../client/types.ts'
import { isEnded } from '../../engine/job.ts'
import type { Outcome } from '../../engine/job.ts'
import type {
  ArtifactInfo,
  DatabaseTest,
  JobQuery,
  LogQuery,
  Removable,
  RetentionPreview,
} from '../../engine/services.ts'
import { readDocument } from '../../engine/profile-document.ts'
import type { RetentionPolicy } from '../../engine/spec.ts'
import { BackupError } from '../../lib/errors.ts'
import type { Backend, JobState, ProfileStore, StartRequest, StepRequest } from '../backend.ts'
import { remoteAccounts, type AccountStore } from './accounts.ts'
import { remoteContents, type ContentStore } from './contents.ts'
import { namesGap } from './gaps.ts'
import { remoteErrors } from './remote-errors.ts'

/** Commands that only ask give up soon: whoever mistyped an address wants to know. */
const QUICK_MS = 3_000
const PREVIEWED = 10_000

/** A server, through the same client library that programs use. */
export class RemoteBackend implements Backend {
  readonly reach: readonly string[]
  readonly profiles: ProfileStore
  readonly accounts: AccountStore
  readonly contents: ContentStore
  readonly #quick: RatchetClient
  /** Rides out a server that restarts: repeats a call for minutes, with the number it awaits. */
  readonly #patient: RatchetClient
  readonly #kinds = new Map<number, JobKind>()

  constructor(url: string, token: string, reach: readonly string[]) {
    this.reach = reach
    this.#quick = new RatchetClient({ url, token, retry: { giveUpMs: QUICK_MS } })
    this.#patient = new RatchetClient({ url, token })
    this.profiles = profilesOf(this.#quick)
    this.accounts = remoteAccounts(this.#quick)
    this.contents = remoteContents(this.#quick)
  }

  start(request: StartRequest): Promise<JobState> {
    return remoteErrors(async () => {
      await this.#quick.getVersion()
      const reply = await this.#start(request)
      this.#kinds.set(reply.BackupID, request.kind)
      return this.#stateAfter(reply)
    })
  }

  step(number: number, options: StepRequest = {}): Promise<JobState> {
    return remoteErrors(async () => {
      if (options.pacing !== undefined) {
        throw new BackupError('BAD_REQUEST', 'a server does not change the slice of a job that has begun', {
          hint: 'Leave --slice out; give it when the job is started, or set it in the profile.',
        })
      }
      const kind = await this.#kindOf(number)
      const params = { backupid: number, ...(options.expect === undefined ? {} : { step: options.expect }) }
      return this.#stateAfter(await this.#patient.call<StepReply>(STEP[kind], params))
    })
  }

  get(number: number): Promise<JobState> {
    return remoteErrors(async () => this.#stateOf(await this.#quick.getBackupInfo(number)))
  }

  cancel(number: number): Promise<JobState> {
    return remoteErrors(async () => this.#stateAfter(await this.#quick.cancelBackup(number)))
  }

  remove(number: number, what: Removable): Promise<void> {
    return remoteErrors(async () => void (await this.#quick.deleteBackup(number, what)))
  }

  freeze(number: number, frozen: boolean): Promise<void> {
    return remoteErrors(async () => void (await this.#quick.freezeBackup(number, frozen)))
  }

  previewRetention(profile: number, policy?: RetentionPolicy): Promise<RetentionPreview> {
    const params = { profile, limit: PREVIEWED, ...(policy === undefined ? {} : { policy }) }
    return remoteErrors(async () => (await this.#quick.previewRetention(params)) as RetentionPreview)
  }

  testDatabases(profile: number, database?: string): Promise<DatabaseTest[]> {
    const params = { profile, ...(database === undefined ? {} : { database }) }
    return remoteErrors(async () => (await this.#quick.testDatabase(params)).databases)
  }

  resolve(id: string): Promise<number> {
    return remoteErrors(async () => (await this.#quick.getBackupInfo(id)).number)
  }

  list(query: JobQuery): ReturnType<Backend['list']> {
    return remoteErrors(() => this.#quick.listBackups(query))
  }

  artifacts(number: number): Promise<ArtifactInfo[]> {
    return remoteErrors(async () => {
      const { artifacts } = await this.#quick.getBackupInfo(number)
      // Where files lie is shown to admins only; others learn the name.
      return artifacts.map(({ name, path, size, sha256 }) => ({ name, path: path ?? name, size, sha256 }))
    })
  }

  restorePreview(number: number): ReturnType<Backend['restorePreview']> {
    return remoteErrors(async () => (await this.#quick.getBackupInfo(number)).preview ?? null)
  }

  log(number: number, query: LogQuery): ReturnType<Backend['log']> {
    return remoteErrors(() => this.#quick.getLog(number, query))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // nothing is held: connections close by themselves
  }

  #start(request: StartRequest): Promise<StepReply> {
    const { kind, ...params } = request
    return this.#patient.call(START[kind], params)
  }

  async #kindOf(number: number): Promise<JobKind> {
    const known = this.#kinds.get(number)
    if (known !== undefined) return known
    const { kind } = await this.#quick.getBackupInfo(number)
    this.#kinds.set(number, kind)
    return kind
  }

  /** The reply has this step's warnings; the totals are in the record. */
  async #stateAfter(reply: StepReply): Promise<JobState> {
    return this.#stateOf(await this.#patient.getBackupInfo(reply.BackupID), reply)
  }

  #stateOf(info: BackupInfo, reply: StepReply = info.current): JobState {
    this.#kinds.set(info.number, info.kind)
    return stateOf(info, reply)
  }
}

const START: Readonly<Record<JobKind, string>> = {
  backup: 'startBackup',
  restore: 'startRestore',
  verify: 'startVerify',
}
const STEP: Readonly<Record<JobKind, string>> = { backup: 'stepBackup', restore: 'stepRestore', verify: 'stepVerify' }

function profilesOf(client: RatchetClient): ProfileStore {
  return {
    list: () => remoteErrors(async () => (await client.getProfiles()).map((profile) => ({ ...profile }))),
    get: (id) => remoteErrors(async () => ({ ...(await client.getProfile(id)) })),
    // The server checks it: what a file holds is unknown here.
    save: (profile) => remoteErrors(async () => ({ ...(await client.saveProfile(profile as ProfileInput)) })),
    remove: (id) => remoteErrors(async () => void (await client.deleteProfile(id))),
    export: (id) => remoteErrors(async () => readDocument(await client.exportProfile(id))),
    import: (document, choice) => remoteErrors(async () => ({ ...(await client.importProfile(document, choice)) })),
  }
}

function stateOf(info: BackupInfo, reply: StepReply): JobState {
  const failed = info.parts.some((part) => part.status === 'failed' || part.omitted > 0)
  return {
    number: info.number,
    id: info.id,
    kind: info.kind,
    status: info.outcome as Outcome,
    ended: isEnded(info),
    step: reply.stepNumber,
    percent: reply.Progress,
    domain: reply.Domain,
    activity: reply.Step,
    detail: reply.Substep,
    sleepMs: reply.sleepTime,
    totals: info.totals,
    warnings: { total: info.warnings, fresh: reply.Warnings },
    gaps: failed || info.recentWarnings.some((warning) => namesGap(warning.code)),
    archive: info.archive,
    description: info.description,
    error: info.error,
    createdAt: info.createdAt,
    finishedAt: info.finishedAt,
    ...(info.frozen === undefined ? {} : { frozen: info.frozen }),
    ...(info.filesRemoved === undefined ? {} : { filesRemoved: info.filesRemoved }),
  }
}
