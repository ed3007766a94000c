import type { JobView } from '../../engine/job.ts'
import type { JobKind } from '../../engine/spec.ts'
import type { Services } from '../../engine/services.ts'
import { BackupError } from '../../lib/errors.ts'

export interface JobRef {
  backupid?: string | number
  BackupID?: number
}

/** The number behind a handle. BAD_REQUEST when it names none or two different jobs; JOB_NOT_FOUND. */
export async function numberOf(services: Services, ref: JobRef): Promise<number> {
  const { backupid, BackupID } = ref
  const named = typeof backupid === 'string' ? await services.engine.resolve(backupid) : backupid
  const number = named ?? BackupID
  if (number === undefined)
    throw new BackupError('BAD_REQUEST', 'invalid parameters: backupid or BackupID is needed', {
      data: { parameter: 'backupid' },
    })
  if (BackupID !== undefined && BackupID !== number)
    throw new BackupError('BAD_REQUEST', `invalid parameters: backupid is job ${number}, BackupID says ${BackupID}`, {
      data: { parameter: 'BackupID' },
    })
  return number
}

/**
 * The job, if it is of this kind: rights are given per kind, so a restore must not be stepped as if it
 * were a backup.
 */
export async function numberOfKind(services: Services, ref: JobRef, kind: JobKind): Promise<number> {
  const number = await numberOf(services, ref)
  const job: JobView = await services.engine.get(number)
  if (job.kind !== kind)
    throw new BackupError('JOB_NOT_FOUND', `there is no ${kind} with the number ${number}`, {
      hint: `Job ${number} is a ${job.kind}: call the methods for that.`,
      data: { number, kind: job.kind },
    })
  return number
}
