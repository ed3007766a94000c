import type { Session, TokenInfo, TokenInput } from '../engine/services.ts'
import { BackupError } from '../lib/errors.ts'
import type { AccountsData, AccountsFile, Credential, StoredUser } from './accounts-file.ts'
import { LONGEST_TOKEN, MOST_TOKENS } from './limits.ts'
import { swept } from './records.ts'
import { common, includes } from './roles.ts'
import { newSecret } from './secret.ts'

/** API tokens: never worth more than the user they belong to, at the time they are used. */

const infoOf = (one: Credential): TokenInfo => ({
  id: one.id,
  name: one.name,
  user: one.user,
  role: one.role,
  profiles: one.profiles,
  createdAt: one.createdAt,
  expiresAt: one.expiresAt,
  lastUsedAt: one.lastUsedAt,
})

/** `secret` leaves this function and is kept nowhere. FORBIDDEN, USER_NOT_FOUND, BAD_REQUEST. */
export function createToken(
  file: AccountsFile,
  now: number,
  session: Session,
  input: TokenInput,
): TokenInfo & { secret: string } {
  const { id, secret, digest } = newSecret('token')
  const data = file.change((before) => {
    const user = ownerOf(before, session, input)
    const credential: Credential = {
      id,
      kind: 'token',
      user: user.name,
      name: input.name,
      role: input.role,
      profiles: profilesOf(user, input),
      digest,
      createdAt: now,
      expiresAt: input.expiresInMs === undefined ? null : now + Math.min(input.expiresInMs, LONGEST_TOKEN),
      lastUsedAt: null,
    }
    const credentials = swept(before.credentials, now)
    if (credentials.filter((one) => one.kind === 'token' && one.user === user.name).length >= MOST_TOKENS)
      throw new BackupError('BAD_REQUEST', `${user.name} has ${MOST_TOKENS} tokens already`, {
        hint: 'Revoke those that are not used any more.',
      })
    return { ...before, credentials: [...credentials, credential] }
  })
  const made = data.credentials.find((one) => one.id === id)
  if (made === undefined) throw new BackupError('INTERNAL', 'the token was not kept')
  return { ...infoOf(made), secret }
}

function ownerOf(data: AccountsData, session: Session, input: TokenInput): StoredUser {
  const name = input.user ?? session.name
  if (name !== session.name && !includes(session.role, 'admin'))
    throw new BackupError('FORBIDDEN', 'tokens of others are made by admins', { data: { role: 'admin' } })
  const user = data.users.find((one) => one.name === name)
  if (user === undefined)
    throw new BackupError('USER_NOT_FOUND', `there is no user ${name}`, {
      hint: 'A token belongs to a user: save one first, or name one.',
    })
  if (!includes(user.role, input.role))
    throw new BackupError('FORBIDDEN', `a token of ${name} cannot have the role ${input.role}`, {
      hint: `${name} has the role ${user.role}.`,
    })
  return user
}

function profilesOf(user: StoredUser, input: TokenInput): number[] | null {
  const wanted = input.profiles ?? null
  if (wanted !== null && input.role === 'admin')
    throw new BackupError('BAD_REQUEST', 'a token with the role admin cannot be limited to profiles', {
      data: { parameter: 'profiles' },
    })
  const allowed = common(wanted, user.profiles)
  if (wanted !== null && allowed?.length !== wanted.length)
    throw new BackupError('FORBIDDEN', `${user.name} does not have all of these profiles`)
  return allowed === null ? null : [...allowed]
}

export function listTokens(data: AccountsData, session: Session): TokenInfo[] {
  const all = includes(session.role, 'admin')
  return data.credentials.filter((c) => c.kind === 'token' && (all || c.user === session.name)).map(infoOf)
}

/** TOKEN_NOT_FOUND also for a stranger's: whether it exists is not his business. */
export function revokeToken(file: AccountsFile, session: Session, id: string): void {
  file.change((data) => {
    const all = includes(session.role, 'admin')
    const token = data.credentials.find((c) => c.kind === 'token' && c.id === id && (all || c.user === session.name))
    if (token === undefined) throw new BackupError('TOKEN_NOT_FOUND', 'there is no such token')
    return { ...data, credentials: data.credentials.filter((one) => one !== token) }
  })
}
