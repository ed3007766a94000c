import type { JobQuery, ProfileOverrides } from '../../engine/services.ts'
import { createApp } from '../../app.ts'
import type { App } from '../../app.ts'
import { complaintOf, overridesSchema } from '../../engine/profile-schema.ts'
import { BackupError } from '../../lib/errors.ts'
import type { Backend, JobState, ProfileData, ProfileStore, StartRequest, StepRequest } from '../backend.ts'
import { defined } from '../session.ts'
import { localAccounts, noteLocal, type AccountStore } from './accounts.ts'
import { localContents, type ContentStore } from './contents.ts'
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
    this.profiles = {
      list: async () => profiles.list().map(asData),
      get: async (id) => asData(profiles.get(id)),
      save: async (profile) => asData(profiles.save(profile)),
      remove: async (id) => profiles.remove(id),
    }
  }

  static async open(dataDir: string, reach: readonly string[]): Promise<EmbeddedBackend> {
    return new EmbeddedBackend(await createApp({ dataDir }), reach)
  }

  async start(request: StartRequest): Promise<JobState> {
    if (request.kind === 'restore') this.#note('restore.start', of(request.archive))
    if (request.kind !== 'backup') return stateOf(await this.#engine.start(request))
    const { profile, description, comment } = request
    const overrides = checkedOverrides(request.overrides)
    return stateOf(await this.#app.startBackup(defined({ profile, description, comment, overrides })))
  }

  async step(number: number, options: StepRequest = {}): Promise<JobState> {
    return stateOf(await this.#engine.step(number, options))
  }

  async get(number: number): Promise<JobState> {
    return stateOf(await this.#engine.get(number))
  }

  async cancel(number: number): Promise<JobState> {
    return stateOf(await this.#engine.cancel(number))
  }

  async remove(number: number): Promise<void> {
    this.#note('backup.delete', `job:${number}`)
    return this.#engine.remove(number)
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

  log(number: number, from: number, limit: number): ReturnType<Backend['log']> {
    return this.#engine.log(number, from, limit)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#app[Symbol.asyncDispose]()
  }

  /** Before it begins: what destroys or overwrites does not happen without an entry. */
  #note(event: string, object: string): void {
    noteLocal(this.#app.services.audit, event, object, 'begun')
  }

  get #engine(): App['services']['engine'] {
    return this.#app.services.engine
  }
}

const of = (archive: number | string): string => (typeof archive === 'number' ? `job:${archive}` : 'archive')

/** The same door a request over the network goes through. */
function checkedOverrides(raw: unknown): ProfileOverrides {
  const parsed = overridesSchema.safeParse(raw ?? {})
  if (parsed.success) return parsed.data
  throw new BackupError('BAD_REQUEST', complaintOf(parsed.error), { cause: parsed.error })
}

function asData(profile: { id: number; name: string }): ProfileData {
  return { ...profile }
}
