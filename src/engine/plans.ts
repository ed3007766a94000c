import path from 'node:path'
import { BackupError } from '../lib/errors.ts'
import { filesGone } from './fate.ts'
import { loadsFor } from './load-request.ts'
import type { Engine, RestoreRequest, StartRequest, VerifyRequest } from './services.ts'
import {
  DEFAULT_PACING,
  type BackupSpec,
  type BackupType,
  type JobKind,
  type JobSpec,
  type LoadSpec,
  type Pacing,
  type RestoreSpec,
  type VerifySpec,
} from './spec.ts'
import type { StageName } from './stage.ts'

const BACKUPS: Readonly<Record<BackupType, readonly StageName[]>> = {
  full: ['init', 'installer', 'db', 'pack', 'seal', 'verify', 'publish'],
  files: ['init', 'installer', 'pack', 'seal', 'verify', 'publish'],
  databases: ['init', 'installer', 'db', 'seal', 'verify', 'publish'],
}

/** By kind of job; a backup here holds all that is named. */
export const PLANS: Readonly<Record<JobKind, readonly StageName[]>> = {
  backup: BACKUPS.full,
  restore: ['open-archive', 'extract', 'finish-restore'],
  verify: ['check-archive'],
}

/** Only looks at what a restore would do. */
const DRY_RUN: readonly StageName[] = ['open-archive', 'preview-restore']

const LOAD: readonly StageName[] = ['open-load', 'load']
/** Whatever is wrong with a server shows before files are touched; databases come last, when the files are there. */
const RESTORE_AND_LOAD: readonly StageName[] = ['open-archive', 'open-load', 'extract', 'finish-restore', 'load']

/** The stages of a job, in order; frozen into the record at start. */
export function planOf(spec: JobSpec): readonly StageName[] {
  if (spec.kind === 'restore' && spec.dryRun === true) return DRY_RUN
  if (spec.kind === 'restore' && (spec.databases ?? []).length > 0) return spec.target === '' ? LOAD : RESTORE_AND_LOAD
  if (spec.kind !== 'backup') return PLANS[spec.kind]
  const stages = BACKUPS[typeOf(spec)]
  return spec.apart !== true && Object.keys(spec.retention ?? {}).length > 0 ? [...stages, 'retention'] : stages
}

const typeOf = (spec: BackupSpec): BackupType => spec.type ?? 'full'

/** What is refused at the door: a slice nobody can work in, or one that blocks for ever. */
export function checkPacing(pacing: Pacing): void {
  const { minMs, maxMs, bias } = pacing
  const whole = [minMs, maxMs, bias].every((value) => Number.isFinite(value))
  if (!whole || minMs < 0 || maxMs < 1 || maxMs > 3600_000 || minMs > 3600_000 || bias < 10 || bias > 100) {
    throw new BackupError('BAD_REQUEST', 'pacing needs 0 ≤ minMs ≤ 3600000, 1 ≤ maxMs ≤ 3600000 and 10 ≤ bias ≤ 100')
  }
}

/** The frozen spec for a request. Numbers of backups become the paths of their archives. */
export async function specFor(request: StartRequest, engine: Pick<Engine, 'get' | 'artifacts'>): Promise<JobSpec> {
  const spec = request.kind === 'backup' ? request.spec : await ofArchive(request, engine)
  checkPacing(spec.pacing)
  return spec
}

async function ofArchive(
  request: RestoreRequest | VerifyRequest,
  engine: Pick<Engine, 'get' | 'artifacts'>,
): Promise<RestoreSpec | VerifySpec> {
  const { archive } = request
  const known = typeof archive === 'number' ? await publishedParts(archive, engine) : []
  const last = typeof archive === 'string' ? archive : known.at(-1)?.path
  if (last === undefined) throw new BackupError('ARCHIVE_NOT_FOUND', `backup ${archive} has no archive`)
  if (!path.isAbsolute(last)) throw new BackupError('BAD_REQUEST', `the archive's path must be absolute: ${last}`)
  const common = {
    profile: 0,
    comment: request.comment ?? '',
    pacing: { ...DEFAULT_PACING, ...request.pacing },
    archive: last,
  }
  if (request.kind === 'verify') {
    const expected = known.map(({ name, size, sha256 }) => ({ name, size, sha256 }))
    return { kind: 'verify', description: request.description ?? `Verify ${path.basename(last)}`, expected, ...common }
  }
  const backup = typeof archive === 'number' ? (await engine.get(archive)).spec : null
  const databases = loadsFor(request.databases ?? [], backup?.kind === 'backup' ? backup : null)
  checkLoads(request, databases)
  return { ...restoreDefaults(request, last, databases), ...common }
}

function restoreDefaults(
  request: RestoreRequest,
  archive: string,
  databases: LoadSpec[],
): Omit<RestoreSpec, 'profile' | 'comment' | 'pacing'> {
  const { target = '' } = request
  if (target !== '' ? !path.isAbsolute(target) : databases.length === 0) {
    throw new BackupError('BAD_REQUEST', `the target's path must be absolute: ${target}`)
  }
  const dry = request.dryRun === true
  return {
    kind: 'restore',
    description: request.description ?? `${dry ? 'Dry run of a restore' : 'Restore'} of ${path.basename(archive)}`,
    archive,
    target: target === '' ? '' : path.normalize(target),
    ...(databases.length === 0 ? {} : { databases }),
    ...(request.foreign === true ? { foreign: true as const } : {}),
    mode: request.mode ?? 'new',
    patterns: request.patterns ?? [],
    salvage: request.salvage ?? false,
    owners: request.owners ?? false,
    setuid: request.setuid ?? false,
    outsideLinks: request.outsideLinks ?? false,
    skipInstallation: request.skipInstallation ?? true,
    limits: { ratio: 1000, entries: 50_000_000, bytes: Number.MAX_SAFE_INTEGER, ...request.limits },
    ...(dry ? { dryRun: true as const } : {}),
  }
}

/** BAD_REQUEST for what can never work, FORBIDDEN for what somebody has to answer for first. */
function checkLoads({ archive, target, foreign, dryRun }: RestoreRequest, databases: readonly LoadSpec[]): void {
  if (databases.length === 0) return
  const bad = (what: string): BackupError => new BackupError('BAD_REQUEST', what)
  if (dryRun === true && target === undefined) throw bad('a dry run looks at files: it tells nothing of databases')
  for (const tell of [(one: LoadSpec): string => one.name, placeOf]) {
    const seen = databases.map(tell)
    const twice = seen.find((one, i) => seen.indexOf(one) !== i)
    if (twice !== undefined) throw bad(`two databases are to be put into one place, or one into two: ${twice}`)
  }
  if (typeof archive === 'number' || foreign === true) return
  throw new BackupError('FORBIDDEN', 'the SQL of an archive that is named by its path may be anybody’s', {
    hint: 'Restore a backup by its number; or say that you trust the archive (foreign, --foreign).',
    data: { parameter: 'foreign' },
  })
}

const placeOf = ({ type, server, host, port, socket, database }: LoadSpec): string =>
  [type, server ?? socket ?? `${host ?? 'localhost'}:${port ?? ''}`, database].join(' ')

async function publishedParts(
  number: number,
  engine: Pick<Engine, 'get' | 'artifacts'>,
): Promise<{ name: string; path: string; size: number; sha256: string }[]> {
  const job = await engine.get(number)
  if (job.kind !== 'backup') throw new BackupError('BAD_REQUEST', `job ${number} is a ${job.kind}, not a backup`)
  if (job.status !== 'completed') {
    throw new BackupError('ARCHIVE_NOT_FOUND', `backup ${number} is ${job.status}; it has no archive`, {
      hint: 'Finish the backup first, or name another one.',
    })
  }
  const { filesRemoved } = job.standing ?? {}
  if (filesRemoved !== undefined) throw filesGone(number, filesRemoved)
  return engine.artifacts(number)
}
