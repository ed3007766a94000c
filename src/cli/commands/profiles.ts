import type { Command } from 'commander'
import { readDocument } from '../../engine/profile-document.ts'
import { readFully } from '../../lib/disk.ts'
import { createFileOnce } from '../../lib/durable-file.ts'
import { BackupError, asBackupError } from '../../lib/errors.ts'
import { printable } from '../format.ts'
import * as parse from '../parse.ts'
import type { Session } from '../session.ts'

const EXAMPLES = `
A profile is a JSON object: name, sources [{type: "directory", path, exclude, …}], output, format, archive,
partSize, level, pacing {minMs, maxMs, bias}. "ratchet profiles show 1" prints one to start from.
A password in it is stored sealed and shown as ***; *** saved again keeps it for the same server and account.

Examples:
  ratchet profiles
  ratchet profiles show 1 > site.json
  ratchet profiles save site.json
  ratchet profiles export 2 -o site.json
  ratchet profiles import site.json --as new
  ratchet backup --profile 2`

const MAX_PROFILE = 1024 * 1024

export function addProfiles(program: Command, session: Session): void {
  const profiles = program
    .command('profiles')
    .summary('list, show, save and delete profiles')
    .description('Profiles: what to back up, where to, and how.')
    .addHelpText('after', EXAMPLES)
  profiles
    .command('list', { isDefault: true })
    .description('Lists the profiles.')
    .action((_options: object, command: Command) => list(session, command))
  profiles
    .command('show')
    .description('Prints a profile as JSON.')
    .argument('<n>', 'number of the profile', parse.parsePositive)
    .action((id: number, _options: object, command: Command) => show(session, command, id))
  profiles
    .command('save')
    .description('Saves a profile from a JSON file. With "id" it replaces that profile, without it is a new one.')
    .argument('<file>', 'JSON file')
    .action((file: string, _options: object, command: Command) => save(session, command, file))
  profiles
    .command('delete')
    .description('Deletes a profile. Backups made with it stay.')
    .argument('<n>', 'number of the profile', parse.parsePositive)
    .action((id: number, _options: object, command: Command) => remove(session, command, id))
  profiles
    .command('export')
    .description('Prints a profile as a document that "import" takes, here or elsewhere; passwords are left out (***).')
    .argument('<n>', 'number of the profile', parse.parsePositive)
    .option('-o, --output <file>', 'write it there instead; what is there already stays')
    .action((id: number, options: OutputOption, command: Command) => exportProfile(session, command, id, options))
  profiles
    .command('import')
    .description('Saves an exported profile. If its number is taken, --as or --force says what is to be done.')
    .argument('<file>', 'exported profile')
    .option('--as <n>', 'under this number; "new": under the next free one', parseNumberOrNew)
    .option('--force', 'replace the profile that has the number')
    .action((file: string, options: ImportOptions, command: Command) => importProfile(session, command, file, options))
  profiles
    .command('schema')
    .description('Prints the JSON schema of profiles.json, for editors.')
    .option('-o, --output <file>', 'write it there instead; what is there already stays')
    .action((options: OutputOption) => schema(session, options))
}

interface OutputOption {
  output?: string
}

interface ImportOptions {
  as?: number | 'new'
  force?: true
}

const parseNumberOrNew = (text: string): number | 'new' => (text === 'new' ? text : parse.parsePositive(text))

async function exportProfile(session: Session, command: Command, id: number, { output }: OutputOption): Promise<void> {
  await using backend = await session.open(command)
  put(session, await backend.profiles.export(id), output)
}

async function importProfile(session: Session, command: Command, file: string, options: ImportOptions): Promise<void> {
  const document = readDocument(readJson(session, session.path(file)))
  await using backend = await session.open(command)
  const { as, force } = options
  const choice = { ...(as === undefined ? {} : { as }), ...(force === true ? { replace: true } : {}) }
  const saved = await backend.profiles.import(document, choice).catch((error: unknown) => {
    if (!(error instanceof BackupError) || error.code !== 'PROFILE_EXISTS') throw error
    throw new BackupError('PROFILE_EXISTS', error.message, { hint: 'Add --as N, --as new, or --force to replace it.' })
  })
  if (session.json(command)) session.printJson(saved)
  else session.print(`profile ${saved.id} is imported: ${printable(saved.name)}`)
}

async function schema(session: Session, { output }: OutputOption): Promise<void> {
  const { profilesSchema } = await import('../../settings/profiles-json-schema.ts')
  put(session, profilesSchema(), output)
}

/** To a new file, or to standard output. */
function put(session: Session, value: unknown, output: string | undefined): void {
  const text = JSON.stringify(value, null, 2)
  if (output === undefined) return session.print(...text.split('\n').map(printable))
  const file = session.path(output)
  try {
    if (createFileOnce(session.io.disk, file, Buffer.from(`${text}\n`))) return
  } catch (error) {
    throw asBackupError(error, `cannot write ${file}`, 'BAD_REQUEST')
  }
  throw new BackupError('BAD_REQUEST', `${file} is there already`, { hint: 'Name another file, or remove it first.' })
}

async function list(session: Session, command: Command): Promise<void> {
  await using backend = await session.open(command)
  for (const profile of await backend.profiles.list()) {
    if (session.json(command)) session.printJson({ id: profile.id, name: profile.name })
    else session.print(`${String(profile.id).padStart(4)}  ${printable(profile.name)}`)
  }
}

async function show(session: Session, command: Command, id: number): Promise<void> {
  await using backend = await session.open(command)
  const profile = await backend.profiles.get(id)
  if (session.json(command)) return session.printJson(profile)
  session.print(...JSON.stringify(profile, null, 2).split('\n').map(printable))
}

async function save(session: Session, command: Command, file: string): Promise<void> {
  const data = readJson(session, session.path(file))
  await using backend = await session.open(command)
  const saved = await backend.profiles.save(data)
  if (session.json(command)) session.printJson(saved)
  else session.print(`profile ${saved.id} is saved: ${printable(saved.name)}`)
}

async function remove(session: Session, command: Command, id: number): Promise<void> {
  await using backend = await session.open(command)
  await backend.profiles.remove(id)
  if (session.json(command)) session.printJson({ event: 'deleted', profile: id })
  else session.print(`profile ${id} is deleted`)
}

function readJson(session: Session, path: string): unknown {
  const { disk } = session.io
  let text: string
  try {
    const fd = disk.open(path, 'read')
    try {
      const bytes = Buffer.alloc(MAX_PROFILE)
      text = bytes.toString('utf8', 0, readFully(disk, fd, bytes, bytes.length, 0))
    } finally {
      disk.close(fd)
    }
  } catch (error) {
    throw asBackupError(error, `cannot read ${path}`, 'BAD_REQUEST')
  }
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new BackupError('PROFILE_INVALID', `${path} is not JSON`, { cause: error })
  }
}
