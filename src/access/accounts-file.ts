import path from 'node:path'
import { z } from 'zod'
import type { Disk } from '../lib/disk.ts'
import { ensureFolder } from '../lib/durable-file.ts'
import { asBackupError, BackupError, errnoOf } from '../lib/errors.ts'
import { Revisions, type Revision } from '../lib/revisions.ts'
import { isPasswordHash } from './password.ts'
import { Reserve } from './reserve.ts'

/**
 * `<data>/access/users-<n>.json` (mode 0600): users, the digests of their tokens and sessions, the setup
 * token. One small JSON file; its revisions keep a server and a command line from undoing each other's
 * changes, such as a revocation.
 */
export const USERS_FORMAT = 1

const role = z.enum(['viewer', 'operator', 'restorer', 'admin'])
const profiles = z.array(z.int().min(1)).max(1000).nullable()
const time = z.number()
const digest = z.string().regex(/^[0-9a-f]{64}$/)

export const USER_NAME = /^[a-z0-9][a-z0-9._@-]{0,63}$/

const user = z.strictObject({
  name: z.string().regex(USER_NAME),
  role,
  /** Only these profiles; null: all. */
  profiles,
  password: z.string().refine(isPasswordHash, 'must be an Argon2id hash'),
  createdAt: time,
  passwordAt: time,
})

const credential = z.strictObject({
  /** Names it in lists and in the audit trail. */
  id: z.string().max(32),
  kind: z.enum(['token', 'session']),
  user: z.string(),
  name: z.string().max(255),
  role,
  profiles,
  digest,
  createdAt: time,
  /** Wall clock; null: never. */
  expiresAt: time.nullable(),
  lastUsedAt: time.nullable(),
})

const schema = z.strictObject({
  format: z.literal(USERS_FORMAT),
  users: z.array(user).max(10_000),
  credentials: z.array(credential).max(100_000),
  setup: z.strictObject({ digest, until: time }).nullable(),
})

export type AccountsData = z.output<typeof schema>
export type StoredUser = z.output<typeof user>
export type Credential = z.output<typeof credential>

const EMPTY: AccountsData = { format: USERS_FORMAT, users: [], credentials: [], setup: null }
/** Somebody else may change the file at the same moment; not so often. */
const TRIES = 100

export class AccountsFile {
  readonly folder: string
  readonly #disk: Disk
  readonly #revisions: Revisions
  readonly #reserve: Reserve
  #seen: Revision | null = null
  #data: AccountsData = EMPTY
  #byId = new Map<string, Credential>()

  constructor(disk: Disk, dataDir: string) {
    this.#disk = disk
    this.folder = path.join(dataDir, 'access')
    this.#revisions = new Revisions(disk, this.folder, 'users')
    this.#reserve = new Reserve(disk, path.join(this.folder, 'reserve'))
  }

  /** What counts now, also if another process wrote it. Not to be changed. STATE_DAMAGED, STATE_TOO_NEW. */
  read(): AccountsData {
    try {
      if (this.#revisions.newest() === (this.#seen?.number ?? 0)) return this.#data
      const found = this.#revisions.read()
      this.#keep(found, found === null ? EMPTY : parse(found.value, this.#revisions.file(found.number)))
      return this.#data
    } catch (error) {
      if (errnoOf(error) === undefined) throw error
      throw asBackupError(error, 'cannot read the users', 'STATE_DAMAGED')
    }
  }

  /** The credential with this id, whether or not it is still valid. */
  find(id: string): Credential | undefined {
    this.read()
    return this.#byId.get(id)
  }

  /**
   * Changes the file: `change` gets what counts now and returns what is to count, or null for no change. It is
   * called again when somebody else was faster. After the return the change lasts.
   */
  change(change: (data: AccountsData) => AccountsData | null): AccountsData {
    for (let left = TRIES; left > 0; left--) {
      const before = this.read()
      const seen = this.#seen
      const after = change(before)
      if (after === null) return this.#settled(before)
      const put = this.#put(seen, schema.parse(after))
      if (put === null) continue
      this.#keep(put, after)
      return after
    }
    throw new BackupError('TOO_MANY_REQUESTS', 'others keep changing the users', { data: { retryAfterMs: 1_000 } })
  }

  /** "It is so already" must be as lasting an answer as "it is done". */
  #settled(data: AccountsData): AccountsData {
    try {
      if (this.#seen !== null) this.#revisions.settle()
      return data
    } catch (error) {
      if (errnoOf(error) === undefined) throw error
      throw asBackupError(error, 'cannot make the users durable', 'OUTPUT_UNWRITABLE')
    }
  }

  #put(before: Revision | null, after: AccountsData): Revision | null {
    try {
      if (before === null) ensureFolder(this.#disk, this.folder)
      const put = this.#reserve.put(this.#revisions, before, after)
      this.#reserve.keep()
      return put
    } catch (error) {
      if (errnoOf(error) === undefined) throw error
      throw asBackupError(error, 'cannot write the users', 'OUTPUT_UNWRITABLE')
    }
  }

  #keep(seen: Revision | null, data: AccountsData): void {
    this.#seen = seen
    this.#data = data
    this.#byId = new Map(data.credentials.map((one) => [one.id, one]))
  }
}

function parse(raw: unknown, file: string): AccountsData {
  const format = typeof raw === 'object' && raw !== null && 'format' in raw ? raw.format : null
  if (typeof format === 'number' && format > USERS_FORMAT)
    throw new BackupError('STATE_TOO_NEW', `${file} has format ${format}; this release knows ${USERS_FORMAT}`)
  const parsed = schema.safeParse(raw)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw damaged(file, `${issue?.path.map(String).join('.') ?? ''}: ${issue?.message ?? ''}`, parsed.error)
}

function damaged(file: string, reason: string, cause: unknown): BackupError {
  return new BackupError('STATE_DAMAGED', `${file} cannot be understood: ${reason}`, {
    hint: 'Move the file away: the revision before it then counts. The token file keeps working.',
    cause,
    data: { file },
  })
}
