import { isDeepStrictEqual } from 'node:util'
import { method, requireFresh, requireRole, type Call } from '../facade.ts'
import type { Services } from '../../engine/services.ts'
import type { RetentionPolicy } from '../../engine/spec.ts'
import { jobObject, numberOf, requireProfile } from './resolve.ts'
import * as s from './retention-schemas.ts'

/** Whoever says which backups go may as well delete them: a policy other than the `present` one wants the same right. */
export function requireRetention(
  services: Services,
  call: Call,
  policy: RetentionPolicy | undefined,
  present: () => RetentionPolicy | undefined,
): void {
  if (policy === undefined || Object.keys(policy).length === 0 || isDeepStrictEqual(policy, present())) return
  requireRole(services, call, 'admin')
  requireFresh(services, call, 'login')
}

/** What becomes of finished backups. */
export const retention = {
  freezeBackup: method({
    role: 'operator',
    summary: 'Freezes a finished backup: neither people nor retention can delete it until it is unfrozen.',
    trail: {
      event: 'backup.freeze',
      object: ({ frozen, ...ref }) => `${jobObject(null, ref)}${frozen ? '' : ' unfreeze'}`,
      first: true,
    },
    params: s.freezeBackup,
    result: s.frozen,
    async run(services, { frozen, ...ref }, call) {
      const number = await numberOf(services, ref, call)
      if (!frozen) requireRole(services, call, 'admin')
      await services.engine.freeze(number, frozen)
      return { number, frozen }
    },
  }),
  previewRetention: method({
    role: 'viewer',
    summary: 'Which backups of a profile its policy, or one to be tried out, would remove right now, and why.',
    params: s.previewRetention,
    result: s.retentionPreview,
    async run(services, { profile, policy, offset, limit }, call) {
      requireProfile(services, profile, call)
      const tried = policy ?? services.profiles.get(profile).retention ?? {}
      const { refused, backups, totals } = await services.engine.previewRetention(profile, tried)
      const page = backups.slice(offset, offset + limit)
      return {
        refused,
        total: backups.length,
        backups: page.map((backup) => ({ ...backup, reasons: [...backup.reasons] })),
        totals,
      }
    },
  }),
}
