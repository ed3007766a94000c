import path from 'node:path'
import { requireFresh, requireRole, type Call } from '../facade.ts'
import { loadsFor, sourceOf } from '../../engine/load-request.ts'
import type { LoadRequest, ProfileOverrides, ProfileRun, RestoreRequest, Services } from '../../engine/services.ts'
import type {
  BackupSpec,
  DatabaseSpec,
  DirectorySource,
  ServerDatabaseSpec,
  WrittenDatabase,
} from '../../engine/spec.ts'
import { BackupError } from '../../lib/errors.ts'
import { numberOf } from './resolve.ts'

/** What a call may name on the host: sources, outputs, archives, targets. */

interface Places {
  sources?: DirectorySource[]
  databases?: (DatabaseSpec | WrittenDatabase)[]
  output?: string
}

/** Paths that came over the network lie below the roots, or the call ends here. */
export function checkPlaces<T extends Places>({ roots }: Services, places: T): T {
  const checked = { ...places }
  if (places.sources !== undefined)
    checked.sources = places.sources.map((source) => resolved(source, roots.check('source', source.path)))
  if (places.databases !== undefined)
    checked.databases = places.databases.map((database) => {
      if (database.type === 'sqlite') return { ...database, path: roots.check('source', database.path) }
      requireNamed(database)
      return database
    })
  if (places.output !== undefined) checked.output = roots.check('output', places.output)
  return checked
}

/** Where a database server is, and by which password, only the host says (S-SSRF-1). */
function requireNamed({ server, database }: Pick<ServerDatabaseSpec, 'server' | 'database'>): void {
  if (server !== undefined) return
  throw new BackupError('FORBIDDEN', `the server of the database ${database} is not one of the settings file`, {
    hint: 'Name the server under "databaseServers" in settings.json, and in the profile by "server".',
    data: { parameter: 'databases' },
  })
}

/** A link below a root may have another name than the folder it leads to: the archive goes on calling it by that. */
function resolved(source: DirectorySource, real: string): DirectorySource {
  const label = source.label ?? path.basename(source.path)
  return { ...source, path: real, ...(label === path.basename(real) ? {} : { label }) }
}

/** Where a link in a source leads is up to whoever writes the source: only the host may have them followed. */
export function refuseFollowing(sources: readonly DirectorySource[] = []): void {
  if (!sources.some((source) => source.symlinks === 'follow')) return
  throw new BackupError('FORBIDDEN', 'over the network no source can be made that follows links', {
    hint: 'Save the profile on the host, or leave symlinks out: links are then kept as links.',
    data: { parameter: 'symlinks' },
  })
}

/**
 * The frozen spec of one run. What is backed up, and to where, is for those who may save profiles; and wherever the
 * profile came from, all its places lie below the roots as the links lead at this moment.
 */
export function planBackup(services: Services, id: number, run: ProfileRun, call: Call): BackupSpec {
  const { sources, databases, output } = run.overrides ?? ({} satisfies ProfileOverrides)
  if ((sources ?? databases ?? output) !== undefined) requireRole(services, call, 'admin')
  refuseFollowing(sources)
  if (databases !== undefined) checkPlaces(services, { databases }) // before any password in them is sealed
  return checkPlaces(services, services.profiles.plan(id, run))
}

/** A backup the caller may see, or a path below the roots for those who may see every backup. */
export async function checkArchive(services: Services, archive: number | string, call: Call): Promise<number | string> {
  if (typeof archive === 'number') return numberOf(services, { BackupID: archive }, call)
  if (call.session.profiles === null) return services.roots.check('archive', archive)
  throw new BackupError('FORBIDDEN', 'whoever is limited to profiles names an archive by the number of its backup')
}

/**
 * Databases go into servers of the settings file alone. Into another one than the backup was made from: only where an
 * admin says so.
 */
export async function checkLoads(
  services: Services,
  archive: number | string,
  databases: readonly LoadRequest[],
  call: Call,
): Promise<LoadRequest[]> {
  const spec = typeof archive === 'number' ? (await services.engine.get(archive)).spec : null
  const backup = spec?.kind === 'backup' ? spec : null
  for (const load of loadsFor(databases, backup)) requireNamed(load)
  const elsewhere = databases.some(
    ({ name, server }) => server !== undefined && server !== sourceOf(name, backup)?.server,
  )
  if (elsewhere) requireAdmin(services, call)
  return [...databases]
}

type Wishes = Pick<RestoreRequest, 'databases' | 'foreign' | 'mode' | 'owners' | 'setuid' | 'outsideLinks' | 'limits'>

/** What protects the host from an archive gives way to an admin's login alone, not to a token of any role. */
export function requireRights(services: Services, wishes: Wishes, call: Call): void {
  const { mode, owners, setuid, outsideLinks, limits = {}, databases = [], foreign } = wishes
  const replaces = mode === 'inplace' || foreign === true || databases.some((one) => one.mode === 'swap')
  const lifted = (limits.ratio ?? 0) > USUAL.ratio || (limits.entries ?? 0) > USUAL.entries
  if (replaces || owners === true || setuid === true || outsideLinks === true || lifted) requireAdmin(services, call)
}

/** By a login, not by a token of that role. */
function requireAdmin(services: Services, call: Call): void {
  requireRole(services, call, 'admin')
  requireFresh(services, call, 'login')
}

/** What an archive may hold without anybody saying so, as the engine has it. */
const USUAL = { ratio: 1000, entries: 50_000_000 }
