import type { BackupSpec } from '../engine/spec.ts'
import type { Profile, ProfileRun } from '../engine/services.ts'
import { BackupError } from '../lib/errors.ts'

export interface RunFacts {
  /** Wall clock, milliseconds since 1970. */
  readonly wall: number
  /** Name of this machine. */
  readonly host: string
  /** Number of the job, where it is already known. */
  readonly number?: number
}

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

/** What a run of this profile means, frozen. PROFILE_INVALID when it names no sources. */
export function profileToBackupSpec(profile: Profile, run: ProfileRun, facts: RunFacts): BackupSpec {
  const { pacing, ...overrides } = run.overrides ?? {}
  const effective = { ...profile, ...overrides }
  if (effective.sources.length === 0) {
    throw new BackupError(
      'PROFILE_INVALID',
      `profile ${profile.id} (${JSON.stringify(profile.name)}) names no sources`,
      {
        hint: 'Save the profile with at least one folder under "sources", or pass overrides.sources.',
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
    output: effective.output,
    format: effective.format,
    archive: expandArchiveName(effective.archive, profile, facts),
    partSize: effective.partSize,
    level: effective.level,
  }
}
