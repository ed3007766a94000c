import { isDeepStrictEqual } from 'node:util'
import type { BackupSpec, DatabaseSpec } from '../engine/spec.ts'
import type { Profile, ProfileOverrides, ProfileRun } from '../engine/services.ts'
import { BackupError } from '../lib/errors.ts'
import { bare } from './profile-secrets.ts'

export interface RunFacts {
  /** Wall clock, milliseconds since 1970. */
  readonly wall: number
  /** Name of this machine. */
  readonly host: string
  /** Number of the job, where it is already known. */
  readonly number?: number
}

/** A profile, and what one run changes of it, with every password sealed. */
export type PlannedProfile = Omit<Profile, 'databases'> & { databases: DatabaseSpec[] }
type PlannedOverrides = Omit<ProfileOverrides, 'databases'> & { databases?: DatabaseSpec[] }
type PlannedRun = Omit<ProfileRun, 'overrides'> & { overrides?: PlannedOverrides }

/** `[date, time]` in UTC as `20260629`, `121045`: sorts, and means the same on every machine. */
function stamps(wall: number): { date: string; time: string; readable: string } {
  const iso = new Date(wall).toISOString()
  return {
    date: iso.slice(0, 10).replaceAll('-', ''),
    time: iso.slice(11, 19).replaceAll(':', ''),
    readable: `${iso.slice(0, 10)} ${iso.slice(11, 19)}`,
  }
}

/** Only what is safe in a file name everywhere. */
const safe = (text: string): string => text.replace(/[^\p{L}\p{N}._-]+/gu, '-').replace(/^[.-]+/, '')

/**
 * The archive's name (without extension) from its template. `[number]` stays as it is while the
 * number is unknown; other text in brackets is kept.
 */
export function expandArchiveName(template: string, profile: Pick<Profile, 'name'>, facts: RunFacts): string {
  const { date, time } = stamps(facts.wall)
  const values: Readonly<Record<string, string>> = {
    '[host]': safe(facts.host) || 'host',
    '[date]': date,
    '[time]': time,
    '[profile]': safe(profile.name) || 'profile',
    ...(facts.number === undefined ? {} : { '[number]': String(facts.number) }),
  }
  return template.replace(/\[[a-z]+\]/g, (word) => values[word] ?? word)
}

/** Whether nothing that is named would be backed up. */
function isEmpty({ type, sources, databases }: Pick<PlannedProfile, 'type' | 'sources' | 'databases'>): boolean {
  const files = type === 'databases' ? 0 : sources.length
  return files + (type === 'files' ? 0 : databases.length) === 0
}

/** What a run of this profile means, frozen. PROFILE_INVALID when it names nothing to back up. */
export function profileToBackupSpec(profile: PlannedProfile, run: PlannedRun, facts: RunFacts): BackupSpec {
  const { pacing, ...overrides } = run.overrides ?? {}
  const effective = { ...profile, ...overrides }
  if (isEmpty(effective)) {
    throw new BackupError(
      'PROFILE_INVALID',
      `profile ${profile.id} (${JSON.stringify(profile.name)}) names no sources`,
      {
        hint: 'Save the profile with at least one folder under "sources" or one database, or pass overrides.',
        data: { profile: profile.id },
      },
    )
  }
  return {
    kind: 'backup',
    profile: profile.id,
    description: run.description ?? `Backup taken on ${stamps(facts.wall).readable}`,
    comment: run.comment ?? '',
    pacing: { ...profile.pacing, ...pacing },
    sources: effective.sources,
    ...(effective.databases.length === 0 ? {} : { databases: effective.databases }),
    ...(effective.type === 'full' ? {} : { type: effective.type }),
    output: effective.output,
    format: effective.format,
    archive: expandArchiveName(effective.archive, profile, facts),
    partSize: effective.partSize,
    level: effective.level,
    ...(effective.deflate === undefined ? {} : { deflate: effective.deflate }),
    ...(effective.retention === undefined ? {} : { retention: effective.retention }),
    ...(isApart(profile, overrides) ? { apart: true } : {}),
  }
}

/** What says which data a backup is of, and where it lies. */
const OF_WHAT = ['sources', 'databases', 'type', 'output'] as const

/** Whether a run is of other data than its profile: it then takes no backup's place, and none takes its. */
const isApart = (profile: PlannedProfile, overrides: PlannedOverrides): boolean =>
  OF_WHAT.some(
    (key) => overrides[key] !== undefined && !isDeepStrictEqual(ofWhat(overrides)[key], ofWhat(profile)[key]),
  )

/** By which password it is read changes nothing about it. */
const ofWhat = <T extends PlannedOverrides>(one: T): T =>
  one.databases === undefined ? one : { ...one, databases: one.databases.map(bare) }
