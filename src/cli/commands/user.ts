import { Option, type Command } from 'commander'
import type { Role } from '../../engine/services.ts'
import { BackupError } from '../../lib/errors.ts'
import { printable, table, time } from '../format.ts'
import * as parse from '../parse.ts'
import { readNewPassword, readPassword } from '../secret-input.ts'
import { defined, type Session } from '../session.ts'

const EXAMPLES = `
Roles: viewer (sees), operator (backs up), restorer (restores to new places), admin (everything).
Passwords are typed, or read from standard input; they are never part of the command line.
Changes count at once, also in servers that are running on the same data folder.

Examples:
  ratchet user add anna --role operator
  ratchet user add otto --role viewer --profile 2 --profile 3
  ratchet user passwd anna < new-password
  ratchet user role anna admin
  RATCHET_TOKEN=$(ratchet user login anna --url http://127.0.0.1:8731) ratchet delete 12 --url http://127.0.0.1:8731`

const ROLES = ['viewer', 'operator', 'restorer', 'admin'] as const satisfies readonly Role[]

export const roleOption = (): Option =>
  new Option('--role <role>', 'viewer, operator, restorer or admin').argParser(parse.parseWord(ROLES))

/** `--profile 2 --profile 3`. */
export const profileOption = (text: string): Option =>
  new Option('--profile <n>', text).argParser((value: string, before: number[] | undefined) => [
    ...(before ?? []),
    parse.parsePositive(value),
  ])

interface AddOptions {
  role: Role
  profile?: number[]
}

export function addUser(program: Command, session: Session): void {
  const user = program
    .command('user')
    .summary('list, add, change and remove users')
    .description('Users of the server, with their roles.')
    .addHelpText('after', EXAMPLES)
  user
    .command('list', { isDefault: true })
    .description('Lists the users.')
    .action((_options: object, command: Command) => list(session, command))
  user
    .command('add')
    .description('Adds a user; the password is asked for.')
    .argument('<name>', 'a–z, 0–9, and . _ @ -')
    .addOption(roleOption().makeOptionMandatory())
    .addOption(profileOption('only this profile; may be given several times'))
    .action((name: string, options: AddOptions, command: Command) => add(session, command, name, options))
  user
    .command('passwd')
    .description('Sets the password of a user and ends all sessions of the user.')
    .argument('<name>', 'the user')
    .action((name: string, _options: object, command: Command) => passwd(session, command, name))
  user
    .command('role')
    .description('Changes the role of a user.')
    .argument('<name>', 'the user')
    .argument('<role>', 'viewer, operator, restorer or admin', parse.parseWord(ROLES))
    .action((name: string, role: Role, _options: object, command: Command) => setRole(session, command, name, role))
  user
    .command('login')
    .description('Logs in at a server (--url) and prints a token for RATCHET_TOKEN: deleting wants a login of late.')
    .argument('<name>', 'the user')
    .action((name: string, _options: object, command: Command) => login(session, command, name))
  user
    .command('remove')
    .description('Removes a user with all tokens and sessions.')
    .argument('<name>', 'the user')
    .action((name: string, _options: object, command: Command) => remove(session, command, name))
}

async function list(session: Session, command: Command): Promise<void> {
  await using backend = await session.open(command)
  const users = await backend.accounts.users()
  if (session.json(command)) return users.forEach((user) => session.printJson(user))
  const rows = users.map(({ name, role, profiles }) => [printable(name), role, shownProfiles(profiles)])
  session.print(...table([['user', 'role', 'profiles'], ...rows], new Set()))
}

export const shownProfiles = (profiles: readonly number[] | null): string =>
  profiles === null ? 'all' : profiles.length === 0 ? 'none' : profiles.join(', ')

async function add(session: Session, command: Command, name: string, options: AddOptions): Promise<void> {
  await using backend = await session.open(command)
  const known = (await backend.accounts.users()).some((user) => user.name === name.toLowerCase())
  if (known) throw new BackupError('BAD_REQUEST', `there is a user ${printable(name)} already`, { hint: CHANGE })
  const password = await readNewPassword(session.io, `Password for ${printable(name)}`)
  const { role, profile: profiles } = options
  const user = await backend.accounts.saveUser({ name, role, password, ...defined({ profiles }) })
  if (session.json(command)) session.printJson(user)
  else session.print(`user ${printable(user.name)} is added with the role ${user.role}`)
}

const CHANGE = 'Change it with "ratchet user passwd" and "ratchet user role".'

async function passwd(session: Session, command: Command, name: string): Promise<void> {
  await using backend = await session.open(command)
  await requireUser(backend.accounts.users(), name)
  const password = await readNewPassword(session.io, `New password for ${printable(name)}`)
  const user = await backend.accounts.saveUser({ name, password })
  if (session.json(command)) session.printJson(user)
  else session.print(`user ${printable(user.name)} has a new password; all sessions have ended`)
}

async function setRole(session: Session, command: Command, name: string, role: Role): Promise<void> {
  await using backend = await session.open(command)
  await requireUser(backend.accounts.users(), name)
  const user = await backend.accounts.saveUser({ name, role })
  if (session.json(command)) session.printJson(user)
  else session.print(`user ${printable(user.name)} has the role ${user.role}`)
}

async function login(session: Session, command: Command, name: string): Promise<void> {
  await using backend = await session.open(command)
  const password = await readPassword(session.io, `Password of ${printable(name)}`)
  const made = await backend.accounts.login(name, password)
  if (session.json(command)) return session.printJson({ event: 'login', ...made })
  session.print(made.token)
  session.io.stderr.write(`logged in as ${printable(made.user)}, role ${made.role}, until ${time(made.expiresAt)}\n`)
}

async function requireUser(users: Promise<{ name: string }[]>, name: string): Promise<void> {
  if ((await users).some((user) => user.name === name.toLowerCase())) return
  throw new BackupError('USER_NOT_FOUND', `there is no user ${printable(name)}`)
}

async function remove(session: Session, command: Command, name: string): Promise<void> {
  await using backend = await session.open(command)
  await backend.accounts.removeUser(name)
  if (session.json(command)) session.printJson({ event: 'removed', user: name })
  else session.print(`user ${printable(name)} is removed`)
}
