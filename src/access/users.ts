import type { UserInfo, UserInput } from '../engine/services.ts'
import { BackupError } from '../lib/errors.ts'
import { USER_NAME, type AccountsData, type StoredUser } from './accounts-file.ts'
import { refusePassword } from './password.ts'

/** Users in the file. Pure: the old data in, the new out. */

/** Lower case, ASCII: no two names look alike. BAD_REQUEST. */
export function nameOf(text: string): string {
  const name = text.toLowerCase()
  if (USER_NAME.test(name)) return name
  throw new BackupError('BAD_REQUEST', 'that is no name for a user', {
    hint: 'Use letters a–z, digits, and ". _ @ -", at most 64, beginning with a letter or digit.',
    data: { parameter: 'name' },
  })
}

/** PASSWORD_REFUSED. */
export function checkedPassword(password: string, name: string): string {
  const reason = refusePassword(password, name)
  if (reason !== null) throw new BackupError('PASSWORD_REFUSED', `the password is refused: ${reason}`)
  return password
}

export const infoOf = ({ name, role, profiles, createdAt, passwordAt }: StoredUser): UserInfo => ({
  name,
  role,
  profiles,
  createdAt,
  passwordAt,
})

/** `hash`: of a new password. Sessions end when password, role or profiles change. */
export function applyUser(data: AccountsData, input: UserInput, hash: string | undefined, now: number): AccountsData {
  const known = data.users.find((one) => one.name === input.name)
  const role = input.role ?? known?.role
  const password = hash ?? known?.password
  if (role === undefined || password === undefined)
    throw new BackupError('BAD_REQUEST', `there is no user ${input.name} yet: role and password are needed`, {
      data: { parameter: role === undefined ? 'role' : 'password' },
    })
  const profiles = input.profiles === undefined ? (known?.profiles ?? null) : input.profiles
  if (role === 'admin' && profiles !== null)
    throw new BackupError('BAD_REQUEST', 'an admin cannot be limited to profiles', {
      hint: 'Give another role, or leave the profiles out.',
      data: { parameter: 'profiles' },
    })
  const user: StoredUser = {
    name: input.name,
    role,
    profiles,
    password,
    createdAt: known?.createdAt ?? now,
    passwordAt: hash === undefined ? (known?.passwordAt ?? now) : now,
  }
  const users = known === undefined ? [...data.users, user] : data.users.map((one) => (one === known ? user : one))
  keepAnAdmin(data.users, users)
  return { ...data, users, credentials: data.credentials.filter((c) => c.kind !== 'session' || c.user !== user.name) }
}

/** With tokens and sessions. USER_NOT_FOUND; FORBIDDEN: users would be left, and no admin among them. */
export function withoutUser(data: AccountsData, name: string): AccountsData {
  if (!data.users.some((one) => one.name === name)) throw new BackupError('USER_NOT_FOUND', `there is no user ${name}`)
  const users = data.users.filter((one) => one.name !== name)
  keepAnAdmin(data.users, users)
  return {
    ...data,
    users,
    credentials: data.credentials.filter((one) => one.user !== name),
  }
}

/** Nobody locks himself and all others out by a slip. */
function keepAnAdmin(before: readonly StoredUser[], after: readonly StoredUser[]): void {
  const hasAdmin = (users: readonly StoredUser[]): boolean => users.some(({ role }) => role === 'admin')
  if (after.length === 0 || hasAdmin(after) || !hasAdmin(before)) return
  throw new BackupError('FORBIDDEN', 'this is the last admin, and other users are left', {
    hint: 'Make another user an admin first, or delete the other users before.',
  })
}
