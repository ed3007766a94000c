import { method, requireFresh, requireRole, type Call, type Table } from '../facade.ts'
import type { ProfileOverrides, Services, StepOptions } from '../../engine/services.ts'
import type { DatabaseSpec, DirectorySource, JobKind } from '../../engine/spec.ts'
import { BackupError } from '../../lib/errors.ts'
import { accounts } from './account-methods.ts'
import { contents } from './content-methods.ts'
import { infoOf } from './info.ts'
import { checkArchive, jobObject, jobOf, numberOf, numberOfKind, type JobRef } from './resolve.ts'
import * as s from './schemas.ts'
import { stepReply, type StepReply } from './view.ts'

/** Raised when a method changes incompatibly. */
export const API_VERSION = 1

interface Places {
  sources?: DirectorySource[]
  databases?: DatabaseSpec[]
  output?: string
}

/** Paths that came over the network lie below the roots, or the call ends here. */
function checkPlaces<T extends Places>({ roots }: Services, places: T): T {
  const checked = { ...places }
  if (places.sources !== undefined)
    checked.sources = places.sources.map((source) => ({ ...source, path: roots.check('source', source.path) }))
  if (places.databases !== undefined)
    checked.databases = places.databases.map((database) => ({
      ...database,
      path: roots.check('source', database.path),
    }))
  if (places.output !== undefined) checked.output = roots.check('output', places.output)
  return checked
}

/** PROFILE_NOT_FOUND, as if there were none, for a profile the caller may not see. */
function requireProfile({ access }: Services, id: number, call: Call): void {
  if (access.seesProfile(call.session, id)) return
  throw new BackupError('PROFILE_NOT_FOUND', `there is no profile ${id}`, { data: { profile: id } })
}

const archiveObject = ({ archive }: { archive: number | string }, reply: StepReply | null): string => {
  const of = typeof archive === 'number' ? `job:${archive}` : 'archive'
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
    trail: { event: 'profile.save', object: ({ id }, saved) => `profile:${saved?.id ?? id ?? 'new'}` },
    params: s.savedProfile,
    result: s.profileSchema,
    run: (services, profile) => services.profiles.save(checkPlaces(services, profile)),
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

const backups = {
  startBackup: method({
    role: 'operator',
    summary: 'Starts a backup and takes its first step.',
    trail: { event: 'backup.start', object: (_params, reply) => jobObject(reply) },
    params: s.startBackup,
    result: s.stepReply,
    async run(services, { profile, description, comment, overrides }, call) {
      requireProfile(services, profile, call)
      if (call.session.profiles !== null && (overrides?.sources ?? overrides?.output) !== undefined)
        throw new BackupError('FORBIDDEN', 'whoever is limited to profiles cannot replace their sources and output')
      const checked: ProfileOverrides = checkPlaces(services, overrides ?? {})
      const spec = services.profiles.plan(profile, {
        ...(description === undefined ? {} : { description }),
        ...(comment === undefined ? {} : { comment }),
        overrides: checked,
      })
      return stepReply(await call.starts.start(services.engine, { kind: 'backup', spec }, call))
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
    run(services, query, call) {
      const seenBy = services.access.scope(call.session)
      return services.engine.list({ ...query, ...(seenBy === undefined ? {} : { seenBy }) })
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
      return infoOf({ job, artifacts, parts }, services.access.allows(call.session, 'admin'))
    },
  }),
  getLog: method({
    role: 'viewer',
    summary: 'Lines of the log of one job.',
    pace: 'work',
    params: s.getLog,
    result: s.logPage,
    run: async (services, { from, limit, ...ref }, call) =>
      services.engine.log(await numberOf(services, ref, call), from, limit),
  }),
  deleteBackup: method({
    role: 'admin',
    summary: 'Removes an ended job: its record and the files it made.',
    fresh: 'login',
    trail: { event: 'backup.delete', object: (ref) => jobObject(null, ref), first: true },
    params: s.jobRef,
    result: s.removed,
    async run(services, ref, call) {
      const number = await numberOf(services, ref, call)
      await services.engine.remove(number)
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
      const { mode, owners, setuid, outsideLinks } = params
      if (mode === 'inplace' || owners || setuid || outsideLinks) {
        requireRole(services, call, 'admin')
        requireFresh(services, call, 'login')
      }
      const target = services.roots.check('restore', params.target)
      const archive = await checkArchive(services, params.archive, call)
      return stepReply(await call.starts.start(services.engine, { kind: 'restore', ...params, archive, target }, call))
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
      return stepReply(await call.starts.start(services.engine, { kind: 'verify', ...params, archive }, call))
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
  ...backups,
  ...restores,
  ...verifications,
  ...contents,
  ...accounts,
}
