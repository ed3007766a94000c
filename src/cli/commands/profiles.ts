import type { Command } from 'commander'
import { readFully } from '../../lib/disk.ts'
import { BackupError, asBackupError } from '../../lib/errors.ts'
import { printable } from '../format.ts'
import * as parse from '../parse.ts'
import type { Session } from '../session.ts'

const EXAMPLES = `
A profile is a JSON object: name, sources [{type: "directory", path, exclude, …}], output, format, archive,
partSize, level, pacing {minMs, maxMs, bias}. "ratchet profiles show 1" prints one to start from.

Examples:
  ratchet profiles
  ratchet profiles show 1 > site.json
  ratchet profiles save site.json
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
