import path from 'node:path'
import { LowSync } from 'lowdb'
import { z } from 'zod'
import {
  complaintOf,
  DEFAULT_ARCHIVE,
  directorySourceSchema,
  pacingSchema,
  profileInputSchema,
  profileSchema,
  storedProfileSchema,
  type StoredProfile,
} from '../engine/profile-schema.ts'
import { DATABASE_KEYS } from '../engine/database-schema.ts'
import { DEFAULT_PACING, type DatabaseSpec, type WrittenDatabase } from '../engine/spec.ts'
import type { Profile, Profiles } from '../engine/services.ts'
import type { Clock } from '../lib/clock.ts'
import type { Disk } from '../lib/disk.ts'
import { BackupError, errnoOf } from '../lib/errors.ts'
import { nearest } from '../lib/nearest.ts'
import { checkFormat, damaged, DurableJsonFile } from './json-file.ts'
import { Keys, type Environment } from './keys.ts'
import { profileToBackupSpec, type PlannedProfile } from './plan.ts'
import { hasOpen, hidden, sealStored, sealWritten } from './profile-secrets.ts'
import { keepSchema, PROFILES_FORMAT, SCHEMA_REFERENCE } from './profiles-json-schema.ts'

/** Entries are checked one by one when they are asked for: a slip in one must not stop the others. */
const fileSchema = z.strictObject({
  /** For editors: where the JSON schema lies. */
  $schema: z.string().max(4096).exactOptional(),
  format: z.literal(PROFILES_FORMAT),
  /** Ids are never given twice, also after a removal: records name the profile they ran. */
  next: z.int().min(1).default(1),
  profiles: z.array(z.unknown()).max(10_000),
})
type ProfilesFile = z.output<typeof fileSchema>

export interface ProfilesOptions {
  readonly disk: Disk
  readonly clock: Clock
  /** The data folder: holds `profiles.json`. */
  readonly folder: string
  /** Name of this machine, for `[host]`. */
  readonly host: string
  /** Output of the profile that exists from the start; default `<folder>/backups`. */
  readonly output?: string
  /** May say where the key is that passwords are sealed with; default: it lies in the data folder. */
  readonly env?: Environment
}

/** `profiles.json`, read anew on each call: people edit it while the server runs. */
export function createProfiles(options: ProfilesOptions): Profiles {
  const file = path.join(options.folder, 'profiles.json')
  const adapter = new DurableJsonFile(options.disk, file, checkFile)
  const keys = new Keys(options.disk, options.folder, options.env ?? {})
  const open = (): LowSync<ProfilesFile> => new LowSync(adapter, adapter.read() ?? initial(options))
  const find = (db: LowSync<ProfilesFile>, id: number): StoredProfile => {
    const entry = db.data.profiles.find((raw) => idOf(raw) === id)
    if (entry === undefined) throw notFound(id)
    return checkEntry(entry, file)
  }
  const usable = (id: number): PlannedProfile => {
    const db = open()
    return sealed(db, find(db, id), keys)
  }
  /** The databases of one run: its `***` stand for what the profile holds. */
  const given = (databases: readonly WrittenDatabase[], profile: PlannedProfile): DatabaseSpec[] =>
    sealWritten(databases, profile.databases, { keys, others: holdsSealed(open().data.profiles) })
  return {
    list: () => open().data.profiles.map((entry) => shown(checkEntry(entry, file))),
    get: (id) => shown(find(open(), id)),
    save(profile) {
      const saved = save(open(), profile, keys)
      keepSchema(options.disk, options.folder)
      return shown(saved)
    },
    databases: (id) => usable(id).databases,
    remove(id) {
      const db = open()
      const rest = db.data.profiles.filter((raw) => idOf(raw) !== id)
      if (rest.length === db.data.profiles.length) throw notFound(id)
      db.data = { ...db.data, next: nextId(db.data), profiles: rest }
      db.write()
    },
    plan(id, { overrides = {}, ...texts } = {}) {
      const profile = usable(id)
      const { databases, ...rest } = overrides
      const run = databases === undefined ? rest : { ...rest, databases: given(databases, profile) }
      return profileToBackupSpec(
        profile,
        { ...texts, overrides: run },
        { wall: options.clock.wall(), host: options.host },
      )
    },
  }
}

const shown = (profile: StoredProfile | PlannedProfile): Profile => ({
  ...profile,
  databases: profile.databases.map(hidden),
})

/** Whether anything hangs on the key. Also in entries that cannot be understood. */
const holdsSealed = (entries: readonly unknown[]): boolean => JSON.stringify(entries).includes('"passwordSealed":')

/** With what people have written into the file sealed, there as well. Where it cannot be written, it stays as it is. */
function sealed(db: LowSync<ProfilesFile>, profile: StoredProfile, keys: Keys): PlannedProfile {
  const { profiles } = db.data
  const others = holdsSealed(profiles)
  const databases = sealStored(profile.databases, { keys, others })
  if (hasOpen(profile.databases)) {
    db.data.profiles = profiles.map((raw) => (idOf(raw) === profile.id ? { ...Object(raw), databases } : raw))
    try {
      db.write()
    } catch (error) {
      if (errnoOf(error) === undefined) throw error
    }
  }
  return { ...profile, databases }
}

function initial(options: ProfilesOptions): ProfilesFile {
  const standard: Profile = {
    id: 1,
    name: 'Default',
    sources: [],
    databases: [],
    type: 'full',
    output: options.output ?? path.join(path.resolve(options.folder), 'backups'),
    format: 'zip',
    archive: DEFAULT_ARCHIVE,
    partSize: 0,
    level: 6,
    pacing: DEFAULT_PACING,
  }
  return { $schema: SCHEMA_REFERENCE, format: PROFILES_FORMAT, next: 2, profiles: [standard] }
}

function checkFile(raw: unknown, file: string): ProfilesFile {
  checkFormat(raw, PROFILES_FORMAT, file)
  const parsed = fileSchema.safeParse(raw)
  if (!parsed.success) throw damaged(file, complaintOf(parsed.error), parsed.error)
  const ids = parsed.data.profiles.map(idOf).filter((id) => id !== null)
  const twice = ids.find((id, i) => ids.indexOf(id) !== i)
  if (twice !== undefined) throw damaged(file, `two profiles have the id ${twice}`)
  return parsed.data
}

function checkEntry(raw: unknown, file: string): StoredProfile {
  const parsed = storedProfileSchema.safeParse(raw)
  if (parsed.success) return parsed.data
  const suggestion = suggestionFor(parsed.error)
  throw damaged(file, `${nameOf(raw)}: ${complaintOf(parsed.error)}${suggestion}`, parsed.error)
}

const KEYS = [storedProfileSchema, directorySourceSchema, pacingSchema]
  .flatMap(({ shape }) => Object.keys(shape))
  .concat(DATABASE_KEYS)

/** For a key that does not exist: the one that was probably meant. */
function suggestionFor(error: z.ZodError): string {
  const unknown = error.issues.flatMap((issue) => (issue.code === 'unrecognized_keys' ? issue.keys : []))
  const meant = unknown.map((key) => nearest(key, KEYS)).find((key) => key !== null)
  return meant === undefined ? '' : ` (did you mean "${meant}"?)`
}

/** How people find the entry in the file. */
function nameOf(raw: unknown): string {
  const id = idOf(raw)
  const name =
    typeof raw === 'object' && raw !== null && 'name' in raw && typeof raw.name === 'string' ? raw.name : null
  const shown = name === null ? '' : ` (${JSON.stringify(name.slice(0, 60))})`
  return id === null ? `the entry without a valid id${shown}` : `profile ${id}${shown}`
}

function idOf(raw: unknown): number | null {
  if (typeof raw !== 'object' || raw === null || !('id' in raw)) return null
  return typeof raw.id === 'number' && Number.isSafeInteger(raw.id) ? raw.id : null
}

const nextId = (data: ProfilesFile): number =>
  Math.max(data.next, 1 + Math.max(0, ...data.profiles.map((p) => idOf(p) ?? 0)))

function save(db: LowSync<ProfilesFile>, input: unknown, keys: Keys): PlannedProfile {
  const parsed = profileInputSchema.safeParse(input)
  if (!parsed.success)
    throw new BackupError('PROFILE_INVALID', `the profile is not valid: ${complaintOf(parsed.error)}`, {
      cause: parsed.error,
    })
  const id = parsed.data.id ?? nextId(db.data)
  const checked = profileSchema.safeParse({ ...parsed.data, id })
  if (!checked.success) throw new BackupError('PROFILE_INVALID', `no number is left: ${complaintOf(checked.error)}`)
  const at = db.data.profiles.findIndex((raw) => idOf(raw) === id)
  const others = holdsSealed(db.data.profiles.filter((_, i) => i !== at))
  const databases = sealWritten(checked.data.databases, storedIn(db.data.profiles[at]), { keys, others })
  const profile = { ...checked.data, databases }
  const profiles = at < 0 ? [...db.data.profiles, profile] : db.data.profiles.with(at, profile)
  db.data = { $schema: SCHEMA_REFERENCE, ...db.data, profiles }
  db.data.next = nextId(db.data)
  db.write()
  return profile
}

/** Of the entry that is about to be replaced; one that cannot be understood holds nothing to be kept. */
function storedIn(raw: unknown): StoredProfile['databases'] {
  const parsed = storedProfileSchema.safeParse(raw)
  return parsed.success ? parsed.data.databases : []
}

function notFound(id: number): BackupError {
  return new BackupError('PROFILE_NOT_FOUND', `there is no profile ${id}`, { data: { profile: id } })
}
