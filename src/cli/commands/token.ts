import type { Command } from 'commander'
import { InvalidArgumentError } from 'commander'
import type { Role } from '../../engine/services.ts'
import { printable, table, time } from '../format.ts'
import * as parse from '../parse.ts'
import { defined, type Session } from '../session.ts'
import { profileOption, roleOption, shownProfiles } from './user.ts'

const EXAMPLES = `
A token stands for a user, with a role not above the user's. It is shown once and kept as a digest only.
One with the role restorer may restore below a restore root without a login.

Examples:
  ratchet token create nightly --user anna --role operator --expires 365d
  ratchet token list
  ratchet token revoke 1f0c2a7b9d3e`

interface CreateOptions {
  user?: string
  role: Role
  expires?: number
  profile?: number[]
}

export function addToken(program: Command, session: Session): void {
  const token = program
    .command('token')
    .summary('list, create and revoke API tokens')
    .description('API tokens: for programs that call the server.')
    .addHelpText('after', EXAMPLES)
  token
    .command('list', { isDefault: true })
    .description('Lists the tokens, without their secrets.')
    .action((_options: object, command: Command) => list(session, command))
  token
    .command('create')
    .description('Makes a token and prints it, this once.')
    .argument('<name>', 'for people: what uses it')
    .option('--user <name>', 'whose it is (needed on a data folder; default with --url: the caller)')
    .addOption(roleOption().makeOptionMandatory())
    .option('--expires <time>', 'for how long it is valid: 12h, 90d (default: until it is revoked)', parseLife)
    .addOption(profileOption('only this profile; may be given several times'))
    .action((name: string, options: CreateOptions, command: Command) => create(session, command, name, options))
  token
    .command('revoke')
    .description('Ends a token, at once.')
    .argument('<id>', 'as shown by "ratchet token list"')
    .action((id: string, _options: object, command: Command) => revoke(session, command, id))
}

/** `90d`, or what durations are written like. Milliseconds. */
function parseLife(text: string): number {
  const days = /^(\d{1,4})d$/.exec(text.trim())?.[1]
  const ms = days === undefined ? parse.parseDuration(text) : Number(days) * 86_400_000
  if (ms < 1000 || ms > 316_224_000_000) throw new InvalidArgumentError('Between 1s and 3660d.')
  return ms
}

async function list(session: Session, command: Command): Promise<void> {
  await using backend = await session.open(command)
  const tokens = await backend.accounts.tokens()
  if (session.json(command)) return tokens.forEach((token) => session.printJson(token))
  const when = (ms: number | null): string => (ms === null ? 'never' : time(ms))
  const rows = tokens.map((t) => [
    t.id,
    printable(t.name),
    printable(t.user),
    t.role,
    shownProfiles(t.profiles),
    when(t.expiresAt),
    when(t.lastUsedAt),
  ])
  session.print(...table([['id', 'name', 'user', 'role', 'profiles', 'expires', 'last used'], ...rows], new Set()))
}

async function create(session: Session, command: Command, name: string, options: CreateOptions): Promise<void> {
  await using backend = await session.open(command)
  const { user, role, expires: expiresInMs, profile: profiles } = options
  const made = await backend.accounts.createToken({ name, role, ...defined({ user, expiresInMs, profiles }) })
  if (session.json(command)) return session.printJson(made)
  session.print(made.secret)
  session.io.stderr.write(`token ${made.id} of ${printable(made.user)}, role ${made.role}: shown this once\n`)
}

async function revoke(session: Session, command: Command, id: string): Promise<void> {
  await using backend = await session.open(command)
  await backend.accounts.revokeToken(id)
  if (session.json(command)) session.printJson({ event: 'revoked', token: id })
  else session.print(`token ${printable(id)} is revoked`)
}
