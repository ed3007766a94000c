import { method, type Call, type Table } from '../facade.ts'
import type { LogPage, Profile, Services, StepOptions } from '../../engine/services.ts'
import type { JobKind } from '../../engine/spec.ts'
import { accounts } from './account-methods.ts'
import { contents } from './content-methods.ts'
import { databases } from './database-methods.ts'
import { infoOf } from './info.ts'
import { checkArchive, checkLoads, checkPlaces, planBackup, refuseFollowing, requireRights } from './places.ts'
import { profileDocuments } from './profile-methods.ts'
import { jobObject, jobOf, numberOf, numberOfKind, requireProfile, type JobRef } from './resolve.ts'
import { requireRetention, retention } from './retention-methods.ts'
import * as s from './schemas.ts'
import { stepReply, type StepReply } from './view.ts'

/** Raised when a method changes incompatibly. */
export const API_VERSION = 1

/** Where the program lies is nothing for everybody. */
const withoutStacks = (page: LogPage): LogPage => ({ ...page, lines: page.lines.map(({ stack: _, ...line }) => line) })

type Named = { archive: number | string; dryRun?: boolean }
const archiveObject = ({ archive, dryRun }: Named, reply: StepReply | null): string => {
  const of = `${typeof archive === 'number' ? `job:${archive}` : 'archive'}${dryRun === true ? ' (dry run)' : ''}`
  return reply === null ? of : `job:${reply.BackupID} of ${of}`
}

async function step(
  services: Services,
  params: JobRef & { step?: number },
  call: Call,
  kind: JobKind,
): Promise<StepReply> {
  const number = await numberOfKind(services, params, kind, call)
  const options: StepOptions = {
    ...(call.key === undefined ? {} : { key: call.key }),
    ...(params.step === undefined ? {} : { expect: params.step }),
  }
  return stepReply(await services.engine.step(number, options))
}

const about = {
  getVersion: method({
    role: 'viewer',
    summary: 'Which release answers, and what it can do.',
    params: s.none,
    result: s.version,
    run: ({ version }) => ({ version, api: API_VERSION, formats: ['zip', 'jpa'] }),
  }),
}

const profiles = {
  getProfiles: method({
    role: 'viewer',
    summary: 'All saved profiles.',
    params: s.none,
    result: s.profileList,
    run: (services, _none, { session }) => ({
      profiles: services.profiles.list().filter(({ id }) => services.access.seesProfile(session, id)),
    }),
  }),
  getProfile: method({
    role: 'viewer',
    summary: 'One saved profile.',
    params: s.profileRef,
    result: s.profileSchema,
    run(services, { id }, call) {
      requireProfile(services, id, call)
      return services.profiles.get(id)
    },
  }),
  saveProfile: method({
    role: 'admin',
    summary: 'Saves a profile; without an id under the next free one. Its paths must lie below the roots.',
    trail: { event: 'profile.save', object: ({ id }, saved) => `profile:${saved?.id ?? id ?? 'new'}`, first: true },
    params: s.savedProfile,
    result: s.profileSchema,
    run(services, profile, call) {
      refuseFollowing(profile.sources)
      const { id } = profile
      const present = (): Profile | undefined => services.profiles.list().find((known) => known.id === id)
      requireRetention(services, call, profile.retention, () => present()?.retention)
      return services.profiles.save(checkPlaces(services, profile))
    },
  }),
  deleteProfile: method({
    role: 'admin',
    summary: 'Removes a profile. Its backups stay.',
    trail: { event: 'profile.delete', object: ({ id }) => `profile:${id}`, first: true },
    params: s.profileRef,
    result: s.removed,
    run(services, { id }) {
      services.profiles.remove(id)
      return { removed: id }
    },
  }),
}

const documents = profileDocuments({ get: profiles.getProfile, save: profiles.saveProfile })

const backups = {
  startBackup: method({
    role: 'operator',
    summary: 'Starts a backup and takes its first step.',
    trail: { event: 'backup.start', object: (_params, reply) => jobObject(reply) },
    params: s.startBackup,
    result: s.stepReply,
    async run(services, { profile, description, comment, overrides }, call) {
      requireProfile(services, profile, call)
      requireRetention(services, call, overrides?.retention, () => services.profiles.get(profile).retention)
      const run = {
        ...(description === undefined ? {} : { description }),
        ...(comment === undefined ? {} : { comment }),
        ...(overrides === undefined ? {} : { overrides }),
      }
      const spec = planBackup(services, profile, run, call)
      return stepReply(await call.starts.start(services, { kind: 'backup', spec }, call))
    },
  }),
  stepBackup: method({
    role: 'operator',
    summary: 'Takes the next step of a backup. A finished one answers its final reply again.',
    pace: 'work',
    params: s.stepParams,
    result: s.stepReply,
    run: (services, params, call) => step(services, params, call, 'backup'),
  }),
  cancelBackup: method({
    role: 'operator',
    summary: 'Cancels a job of any kind. One that has ended stays as it is.',
    trail: { event: 'job.cancel', object: (ref, reply) => jobObject(reply, ref) },
    params: s.jobRef,
    result: s.stepReply,
    run: async (services, ref, call) => stepReply(await services.engine.cancel(await numberOf(services, ref, call))),
  }),
  listBackups: method({
    role: 'viewer',
    summary: 'Jobs, newest first.',
    params: s.listBackups,
    result: s.jobList,
    async run(services, query, call) {
      const seenBy = services.access.scope(call.session)
      const { total, jobs } = await services.engine.list({ ...query, ...(seenBy === undefined ? {} : { seenBy }) })
      return { total, jobs: jobs.map((job) => ({ ...job, description: job.description.slice(0, s.LISTED_TEXT) })) }
    },
  }),
  getBackupInfo: method({
    role: 'viewer',
    summary: 'All that is known of one job of any kind, with the reply it gave last.',
    pace: 'work',
    params: s.jobRef,
    result: s.backupInfo,
    async run(services, ref, call) {
      const job = await jobOf(services, ref, call)
      const { number } = job
      const [artifacts, parts] = [await services.engine.artifacts(number), await services.engine.parts(number)]
      const preview = await services.engine.restorePreview(number)
      return infoOf({ job, artifacts, parts, preview }, services.access.allows(call.session, 'admin'))
    },
  }),
  getLog: method({
    role: 'viewer',
    summary: 'A page of the log of one job, by line number.',
    pace: 'work',
    params: s.getLog,
    result: s.logPage,
    async run(services, { from, limit, level, ...ref }, call) {
      const page = await services.engine.log(await numberOf(services, ref, call), { from, limit, level })
      return services.access.allows(call.session, 'admin') ? page : withoutStacks(page)
    },
  }),
  deleteBackup: method({
    role: 'admin',
    summary: 'Removes an ended job: the files it made, its record, or both.',
    fresh: 'login',
    trail: { event: 'backup.delete', object: (ref) => jobObject(null, ref), first: true },
    params: s.deleteBackup,
    result: s.removed,
    async run(services, { what, ...ref }, call) {
      const number = await numberOf(services, ref, call)
      await services.engine.remove(number, what)
      return { removed: number }
    },
  }),
}

const restores = {
  startRestore: method({
    role: 'restorer',
    summary: 'Starts a restore and takes its first step.',
    fresh: 'restore',
    trail: { event: 'restore.start', object: archiveObject, first: true },
    params: s.startRestore,
    result: s.stepReply,
    async run(services, params, call) {
      requireRights(services, params, call)
      const { target: wanted, databases, ...rest } = params
      const target = wanted === undefined ? {} : { target: services.roots.check('restore', wanted) }
      const archive = await checkArchive(services, params.archive, call)
      const loads = databases === undefined ? {} : { databases: await checkLoads(services, archive, databases, call) }
      return stepReply(
        await call.starts.start(services, { kind: 'restore', ...rest, ...target, ...loads, archive }, call),
      )
    },
  }),
  stepRestore: method({
    role: 'restorer',
    summary: 'Takes the next step of a restore.',
    pace: 'work',
    params: s.stepParams,
    result: s.stepReply,
    run: (services, params, call) => step(services, params, call, 'restore'),
  }),
}

const verifications = {
  startVerify: method({
    role: 'operator',
    summary: 'Starts a verification of an archive and takes its first step.',
    trail: { event: 'verify.start', object: archiveObject },
    params: s.startVerify,
    result: s.stepReply,
    async run(services, params, call) {
      const archive = await checkArchive(services, params.archive, call)
      return stepReply(await call.starts.start(services, { kind: 'verify', ...params, archive }, call))
    },
  }),
  stepVerify: method({
    role: 'operator',
    summary: 'Takes the next step of a verification.',
    pace: 'work',
    params: s.stepParams,
    result: s.stepReply,
    run: (services, params, call) => step(services, params, call, 'verify'),
  }),
}

/** Every method of this wire; `rpc.discover` is added by the server, since it describes these. */
export const methods: Table = {
  ...about,
  ...profiles,
  ...documents,
  ...backups,
  ...retention,
  ...restores,
  ...verifications,
  ...contents,
  ...databases,
  ...accounts,
}
