import { method, requireRole, type Call, type Table } from '../facade.ts'
import type { ProfileOverrides, Services, StepOptions } from '../../engine/services.ts'
import type { DirectorySource, JobKind } from '../../engine/spec.ts'
import { infoOf } from './info.ts'
import { numberOf, numberOfKind, type JobRef } from './resolve.ts'
import * as s from './schemas.ts'
import { stepReply, type StepReply } from './view.ts'

/** Raised when a method changes incompatibly. */
export const API_VERSION = 1

/** Paths that came over the network lie below the roots, or the call ends here. */
function checkPlaces<T extends { sources?: DirectorySource[]; output?: string }>({ roots }: Services, places: T): T {
  const checked = { ...places }
  if (places.sources !== undefined)
    checked.sources = places.sources.map((source) => ({ ...source, path: roots.check('source', source.path) }))
  if (places.output !== undefined) checked.output = roots.check('output', places.output)
  return checked
}

const checkArchive = ({ roots }: Services, archive: number | string): number | string =>
  typeof archive === 'number' ? archive : roots.check('archive', archive)

async function step(
  services: Services,
  params: JobRef & { step?: number },
  call: Call,
  kind: JobKind,
): Promise<StepReply> {
  const number = await numberOfKind(services, params, kind)
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
    run: ({ version }) => ({ version, api: API_VERSION, formats: ['zip'] }),
  }),
}

const profiles = {
  getProfiles: method({
    role: 'viewer',
    summary: 'All saved profiles.',
    params: s.none,
    result: s.profileList,
    run: (services) => ({ profiles: services.profiles.list() }),
  }),
  getProfile: method({
    role: 'viewer',
    summary: 'One saved profile.',
    params: s.profileRef,
    result: s.profileSchema,
    run: (services, { id }) => services.profiles.get(id),
  }),
  saveProfile: method({
    role: 'admin',
    summary: 'Saves a profile; without an id under the next free one. Its paths must lie below the roots.',
    params: s.savedProfile,
    result: s.profileSchema,
    run: (services, profile) => services.profiles.save(checkPlaces(services, profile)),
  }),
  deleteProfile: method({
    role: 'admin',
    summary: 'Removes a profile. Its backups stay.',
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
    params: s.startBackup,
    result: s.stepReply,
    async run(services, { profile, description, comment, overrides }, call) {
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
    params: s.stepParams,
    result: s.stepReply,
    run: (services, params, call) => step(services, params, call, 'backup'),
  }),
  cancelBackup: method({
    role: 'operator',
    summary: 'Cancels a job of any kind. One that has ended stays as it is.',
    params: s.jobRef,
    result: s.stepReply,
    run: async (services, ref) => stepReply(await services.engine.cancel(await numberOf(services, ref))),
  }),
  listBackups: method({
    role: 'viewer',
    summary: 'Jobs, newest first.',
    params: s.listBackups,
    result: s.jobList,
    run: (services, query) => services.engine.list(query),
  }),
  getBackupInfo: method({
    role: 'viewer',
    summary: 'All that is known of one job of any kind, with the reply it gave last.',
    params: s.jobRef,
    result: s.backupInfo,
    async run(services, ref, call) {
      const number = await numberOf(services, ref)
      const job = await services.engine.get(number)
      const artifacts = await services.engine.artifacts(number)
      return infoOf(job, artifacts, services.access.allows(call.session, 'admin'))
    },
  }),
  getLog: method({
    role: 'viewer',
    summary: 'Lines of the log of one job.',
    params: s.getLog,
    result: s.logPage,
    run: async (services, { from, limit, ...ref }) => services.engine.log(await numberOf(services, ref), from, limit),
  }),
  deleteBackup: method({
    role: 'admin',
    summary: 'Removes an ended job: its record and the files it made.',
    params: s.jobRef,
    result: s.removed,
    async run(services, ref) {
      const number = await numberOf(services, ref)
      await services.engine.remove(number)
      return { removed: number }
    },
  }),
}

const restores = {
  startRestore: method({
    role: 'restorer',
    summary: 'Starts a restore and takes its first step.',
    params: s.startRestore,
    result: s.stepReply,
    async run(services, params, call) {
      const { mode, owners, setuid, outsideLinks } = params
      if (mode === 'inplace' || owners || setuid || outsideLinks) requireRole(services, call, 'admin')
      const archive = checkArchive(services, params.archive)
      const target = services.roots.check('restore', params.target)
      return stepReply(await call.starts.start(services.engine, { kind: 'restore', ...params, archive, target }, call))
    },
  }),
  stepRestore: method({
    role: 'restorer',
    summary: 'Takes the next step of a restore.',
    params: s.stepParams,
    result: s.stepReply,
    run: (services, params, call) => step(services, params, call, 'restore'),
  }),
}

const verifications = {
  startVerify: method({
    role: 'operator',
    summary: 'Starts a verification of an archive and takes its first step.',
    params: s.startVerify,
    result: s.stepReply,
    async run(services, params, call) {
      const archive = checkArchive(services, params.archive)
      return stepReply(await call.starts.start(services.engine, { kind: 'verify', ...params, archive }, call))
    },
  }),
  stepVerify: method({
    role: 'operator',
    summary: 'Takes the next step of a verification.',
    params: s.stepParams,
    result: s.stepReply,
    run: (services, params, call) => step(services, params, call, 'verify'),
  }),
}

/** Every method of this wire; `rpc.discover` is added by the server, since it describes these. */
export const methods: Table = { ...about, ...profiles, ...backups, ...restores, ...verifications }
