import type {
  JobQuery,
  LogQuery,
  ProfileOverrides,
  Removable,
  RestoreRequest,
  DatabaseTest,
  RetentionPreview,
  VerifyRequest,
} from '../../engine/services.ts'
import type { RetentionPolicy } from '../../engine/spec.ts'
import { createApp } from '../../app.ts'
import type { App } from '../../app.ts'
import type { JobView } from '../../engine/job.ts'
import { documentOf, importable } from '../../engine/profile-document.ts'
import { serverDatabasesOf, testAll } from '../../engine/database-tests.ts'
import { complaintOf, overridesSchema } from '../../engine/profile-schema.ts'
import { BackupError } from '../../lib/errors.ts'
import type { Thread } from '../../lib/thread.ts'
import type { Backend, JobState, ProfileData, ProfileStore, StartRequest, StepRequest } from '../backend.ts'
import { defined } from '../session.ts'
import { localAccounts, type AccountStore } from './accounts.ts'
import { localContents, type ContentStore } from './contents.ts'
import { noteLocal, trailedLocal } from './local-trail.ts'
import { stateOf } from './view.ts'

/** Ratchet inside this process, on a data folder. Other processes may work on the same folder meanwhile. */
export class EmbeddedBackend implements Backend {
  readonly reach: readonly string[]
  readonly profiles: ProfileStore
  readonly accounts: AccountStore
  readonly contents: ContentStore
  readonly #app: App

  private constructor(app: App, reach: readonly string[]) {
    this.#app = app
    this.reach = reach
    const { profiles } = app.services
    this.accounts = localAccounts(app.services)
    this.contents = localContents(app.services)
    const save = (profile: unknown): Promise<ProfileData> =>
      this.#trailed<ProfileData>(
        'profile.save',
        (saved) => (saved === null ? 'profile' : `profile:${saved.id}`),
        () => asData(profiles.save(profile)),
      )
    this.profiles = {
      list: async () => profiles.list().map(asData),
      get: async (id) => asData(profiles.get(id)),
      save: async (profile) => save(profile),
      remove: (id) =>
        this.#trailed(
          'profile.delete',
          () => `profile:${id}`,
          () => profiles.remove(id),
        ),
      export: async (id) => documentOf(profiles.get(id)),
      import: async (document, choice) => save(importable(document, choice, profiles)),
    }
  }

  /** `stepThread`: as in `AppOptions`. */
  static async open(dataDir: string, reach: readonly string[], stepThread?: Thread): Promise<EmbeddedBackend> {
    return new EmbeddedBackend(await createApp({ dataDir, ...defined({ stepThread }) }), reach)
  }

  async start(request: StartRequest): Promise<JobState> {
    const begin = (): Promise<JobView> => this.#begin(request)
    if (request.kind === 'restore') {
      const from = of(request)
      const object = (job: JobView | null): string => (job === null ? from : `job:${job.number} of ${from}`)
      return stateOf(await this.#trailed('restore.start', object, begin))
    }
    const job = await begin()
    const from = request.kind === 'backup' ? '' : ` of ${of(request)}`
    this.#note(`${request.kind}.start`, `job:${job.number}${from}`)
    return stateOf(job)
  }

  #begin(request: StartRequest): Promise<JobView> {
    if (request.kind !== 'backup') return this.#engine.start(request)
    const { profile, description, comment } = request
    const overrides = checkedOverrides(request.overrides)
    return this.#app.startBackup(defined({ profile, description, comment, overrides }))
  }

  async step(number: number, options: StepRequest = {}): Promise<JobState> {
    return stateOf(await this.#engine.step(number, options))
  }

  async get(number: number): Promise<JobState> {
    return stateOf(await this.#engine.get(number))
  }

  async cancel(number: number): Promise<JobState> {
    const job = await this.#engine.cancel(number)
    this.#note('job.cancel', `job:${number}`)
    return stateOf(job)
  }

  async remove(number: number, what: Removable): Promise<void> {
    await this.#trailed(
      'backup.delete',
      () => `job:${number}`,
      () => this.#engine.remove(number, what),
    )
  }

  async freeze(number: number, frozen: boolean): Promise<void> {
    await this.#trailed(
      'backup.freeze',
      () => `job:${number}${frozen ? '' : ' unfreeze'}`,
      () => this.#engine.freeze(number, frozen),
    )
  }

  async previewRetention(profile: number, policy?: RetentionPolicy): Promise<RetentionPreview> {
    const saved = this.#app.services.profiles.get(profile)
    return this.#engine.previewRetention(profile, policy ?? saved.retention ?? {})
  }

  async testDatabases(profile: number, database?: string): Promise<DatabaseTest[]> {
    const { profiles, databases } = this.#app.services
    return await testAll(
      serverDatabasesOf({ id: profile, databases: profiles.databases(profile) }, database),
      databases,
    )
  }

  resolve(id: string): Promise<number> {
    return this.#engine.resolve(id)
  }

  list(query: JobQuery): ReturnType<Backend['list']> {
    return this.#engine.list(query)
  }

  artifacts(number: number): ReturnType<Backend['artifacts']> {
    return this.#engine.artifacts(number)
  }

  restorePreview(number: number): ReturnType<Backend['restorePreview']> {
    return this.#engine.restorePreview(number)
  }

  log(number: number, query: LogQuery): ReturnType<Backend['log']> {
    return this.#engine.log(number, query)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#app[Symbol.asyncDispose]()
  }

  #trailed<T>(event: string, objectOf: (result: T | null) => string, work: () => T | Promise<T>): Promise<T> {
    return trailedLocal(this.#app.services.audit, event, objectOf, work)
  }

  #note(event: string, object: string, result = 'ok'): void {
    noteLocal(this.#app.services.audit, event, object, result)
  }

  get #engine(): App['services']['engine'] {
    return this.#app.services.engine
  }
}

const of = (request: RestoreRequest | VerifyRequest): string => {
  const archive = typeof request.archive === 'number' ? `job:${request.archive}` : 'archive'
  return request.kind === 'restore' && request.dryRun === true ? `${archive} (dry run)` : archive
}

/** The same door a request over the network goes through. */
function checkedOverrides(raw: unknown): ProfileOverrides {
  const parsed = overridesSchema.safeParse(raw ?? {})
  if (parsed.success) return parsed.data
  throw new BackupError('BAD_REQUEST', complaintOf(parsed.error), { cause: parsed.error })
}

function asData(profile: { id: number; name: string }): ProfileData {
  return { ...profile }
}
