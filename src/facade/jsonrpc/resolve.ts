import type { JobView } from '../../engine/job.ts'
import type { JobKind } from '../../engine/spec.ts'
import type { Services } from '../../engine/services.ts'
import { BackupError } from '../../lib/errors.ts'
import type { Call } from '../facade.ts'

export interface JobRef {
  backupid?: string | number
  BackupID?: number
}

/**
 * The job behind a handle. BAD_REQUEST when it names none or two different ones; JOB_NOT_FOUND, in the same words
 * for one that does not exist and one the caller may not see.
 */
export async function jobOf(services: Services, ref: JobRef, call: Call): Promise<JobView> {
  const { backupid, BackupID } = ref
  if (backupid === undefined && BackupID === undefined)
    throw new BackupError('BAD_REQUEST', 'invalid parameters: backupid or BackupID is needed', {
      data: { parameter: 'backupid' },
    })
  const job = await visible(services, backupid ?? BackupID ?? 0, call)
  if (BackupID !== undefined && BackupID !== job.number)
    throw new BackupError(
      'BAD_REQUEST',
      `invalid parameters: backupid is job ${job.number}, BackupID says ${BackupID}`,
      { data: { parameter: 'BackupID' } },
    )
  return job
}

export async function numberOf(services: Services, ref: JobRef, call: Call): Promise<number> {
  return (await jobOf(services, ref, call)).number
}

async function visible({ engine, access }: Services, handle: string | number, call: Call): Promise<JobView> {
  let job: JobView
  try {
    job = await engine.get(typeof handle === 'number' ? handle : await engine.resolve(handle))
  } catch (error) {
    if (error instanceof BackupError && error.code === 'JOB_NOT_FOUND') throw missing(handle)
    throw error
  }
  const { kind, spec, startedBy } = job
  if (access.sees(call.session, { kind, profile: spec.profile, startedBy })) return job
  throw missing(handle)
}

function missing(handle: string | number): BackupError {
  if (typeof handle === 'string') return new BackupError('JOB_NOT_FOUND', `there is no backup "${handle}"`)
  return new BackupError('JOB_NOT_FOUND', `there is no backup ${handle}`, { data: { number: handle } })
}

/**
 * The job, if it is of this kind: rights are given per kind, so a restore must not be stepped as if it
 * were a backup.
 */
export async function numberOfKind(services: Services, ref: JobRef, kind: JobKind, call: Call): Promise<number> {
  const job = await jobOf(services, ref, call)
  const { number } = job
  if (job.kind !== kind)
    throw new BackupError('JOB_NOT_FOUND', `there is no ${kind} with the number ${number}`, {
      hint: `Job ${number} is a ${job.kind}: call the methods for that.`,
      data: { number, kind: job.kind },
    })
  return number
}

/** A backup the caller may see, or a path below the roots for those who may see every backup. */
export async function checkArchive(services: Services, archive: number | string, call: Call): Promise<number | string> {
  if (typeof archive === 'number') return numberOf(services, { BackupID: archive }, call)
  if (call.session.profiles === null) return services.roots.check('archive', archive)
  throw new BackupError('FORBIDDEN', 'whoever is limited to profiles names an archive by the number of its backup')
}

/** PROFILE_NOT_FOUND, as if there were none, for a profile the caller may not see. */
export function requireProfile({ access }: Services, id: number, call: Call): void {
  if (access.seesProfile(call.session, id)) return
  throw new BackupError('PROFILE_NOT_FOUND', `there is no profile ${id}`, { data: { profile: id } })
}

const JOB_HANDLE = /^(\d{1,16}|\d{8}-\d{6}-\d{6,15})$/

/** How the audit trail names a job. */
export const jobObject = (reply: { BackupID: number } | null, ref: JobRef = {}): string => {
  const handle = reply?.BackupID ?? ref.backupid ?? ref.BackupID
  // A handle that is none of ours may be anything, a mistyped password among it.
  return JOB_HANDLE.test(String(handle)) ? `job:${handle}` : 'job'
}
