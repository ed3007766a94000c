import type { Accounts, Audit, LoginResult, Origin, Session, TokenInfo, UserInfo } from '../engine/services.ts'
import type { Clock } from '../lib/clock.ts'
import { BackupError } from '../lib/errors.ts'
import { eventOf } from './access.ts'
import type { AccountsFile, StoredUser } from './accounts-file.ts'
import type { AttemptGuard } from './guard.ts'
import { CLOCK_SLACK, SETUP_LIFE } from './limits.ts'
import { MAX_PASSWORD, type Passwords } from './password.ts'
import { claimOf, digestOf, newSecret, sameDigest } from './secret.ts'
import { addSession, withoutSetup } from './records.ts'
import { createToken, listTokens, revokeToken } from './tokens.ts'
import { tooMany, type Traffic } from './traffic.ts'
import { applyUser, checkedPassword, infoOf, nameOf, withoutUser } from './users.ts'

export interface AccountsParts {
  readonly clock: Clock
  readonly file: AccountsFile
  readonly guard: AttemptGuard
  readonly traffic: Traffic
  readonly audit: Audit
  readonly passwords: Passwords
  /** Called when the setup token has been used up. */
  readonly onSetUp?: () => void
}

const SETUP_ACCOUNT = 'setup'

/** Users, tokens, sessions, for every face and for the command line. */
export class AccountsBook implements Accounts {
  readonly #parts: AccountsParts

  constructor(parts: AccountsParts) {
    this.#parts = parts
  }

  isSetUp(): boolean {
    return this.#parts.file.read().users.length > 0
  }

  async setUp(origin: Origin, input: Parameters<Accounts['setUp']>[1]): Promise<UserInfo> {
    const { file, passwords, clock, audit, onSetUp } = this.#parts
    this.#checkSetup(origin, input.setupToken)
    const name = nameOf(input.name)
    const hash = await passwords.hash(checkedPassword(input.password, name))
    const digest = digestOf(input.setupToken)
    audit.note(eventOf('setUp', origin, '', '', 'begun'))
    const data = file.change((before) => {
      // Of two at once the file takes one: the other finds the token used up.
      if (!this.#isSetup(digest)) throw setupRefused()
      return withoutSetup(applyUser(before, { name, role: 'admin' }, hash, clock.wall()))
    })
    onSetUp?.()
    return infoOf(found(data.users, name))
  }

  async login(origin: Origin, input: Parameters<Accounts['login']>[1]): Promise<LoginResult> {
    const { file, clock, audit, traffic } = this.#parts
    traffic.login(origin.address)
    if (!this.isSetUp()) throw new BackupError('FORBIDDEN', 'there are no users yet', { hint: 'Call setUp first.' })
    const name = input.user.slice(0, 64).toLowerCase()
    const user = await this.#proven(origin, 'login', name, input.password)
    const { id, secret, digest } = newSecret('session')
    const now = clock.wall()
    const session = { id, digest, user, now }
    const data = file.change((before) => {
      // Another password, or no such user any more, while this one was being checked.
      if (before.users.find((one) => one.name === name)?.password !== user.password) throw unauthorized(WRONG)
      return addSession(before, session)
    })
    audit.note(eventOf('login', origin, user.name, `session:${id}`, 'ok'))
    const expiresAt = data.credentials.find((one) => one.id === id)?.expiresAt ?? now
    return { token: secret, user: user.name, role: user.role, expiresAt }
  }

  logout(session: Session): void {
    if (session.kind !== 'session')
      throw new BackupError('BAD_REQUEST', 'only a login can be ended', { hint: NO_LOGIN })
    this.#parts.file.change((data) => ({
      ...data,
      credentials: data.credentials.filter((one) => one.id !== session.id),
    }))
  }

  listUsers(): UserInfo[] {
    return this.#parts.file.read().users.map(infoOf)
  }

  async saveUser(input: Parameters<Accounts['saveUser']>[0]): Promise<UserInfo> {
    const { file, passwords, clock } = this.#parts
    const name = nameOf(input.name)
    const hash = input.password === undefined ? undefined : await passwords.hash(checkedPassword(input.password, name))
    // Whoever made this user has set the server up: the setup token counts no more, also when all users are gone again.
    const data = file.change((before) => withoutSetup(applyUser(before, { ...input, name }, hash, clock.wall())))
    return infoOf(found(data.users, name))
  }

  deleteUser(name: string): void {
    this.#parts.file.change((data) => withoutUser(data, nameOf(name)))
  }

  async changePassword(origin: Origin, session: Session, input: { old: string; password: string }): Promise<void> {
    const { file, passwords, clock, audit } = this.#parts
    if (session.kind !== 'session')
      throw new BackupError('BAD_REQUEST', 'only a logged-in user has a password', { hint: NO_LOGIN })
    const { name } = session
    const password = checkedPassword(input.password, name)
    const user = await this.#proven(origin, 'password', name, input.old)
    const hash = await passwords.hash(password)
    audit.note(eventOf('password.change', origin, name, `user:${name}`, 'begun'))
    file.change((before) => {
      if (before.users.find((one) => one.name === name)?.password !== user.password) throw unauthorized(WRONG)
      return applyUser(before, { name }, hash, clock.wall())
    })
  }

  createToken(session: Session, input: Parameters<Accounts['createToken']>[1]): TokenInfo & { secret: string } {
    return createToken(this.#parts.file, this.#parts.clock.wall(), session, input)
  }

  listTokens(session: Session): TokenInfo[] {
    return listTokens(this.#parts.file.read(), session)
  }

  revokeToken(session: Session, id: string): void {
    revokeToken(this.#parts.file, session, id)
  }

  /** The user behind name and password. Unknown and wrong cost the same and say the same. */
  async #proven(origin: Origin, event: string, name: string, password: string): Promise<StoredUser> {
    const { guard, file, passwords, audit } = this.#parts
    const wait = guard.waitMs(origin.address, `user ${name}`)
    if (wait > 0) throw tooMany(wait)
    const attempt = guard.begin(origin.address, `user ${name}`)
    let right: boolean
    const user = file.read().users.find((one) => one.name === name)
    try {
      const short = password.slice(0, MAX_PASSWORD + 1)
      right = await passwords.verify(short, user?.password ?? null)
    } catch (error) {
      attempt.undone()
      throw error
    }
    if (user !== undefined && right) {
      attempt.passed()
      return user
    }
    attempt.failed()
    // What was typed as a name may be a password: only names that exist are written down.
    audit.note(eventOf(event, origin, user?.name ?? '', user === undefined ? 'user:unknown' : `user:${user.name}`))
    throw unauthorized(WRONG)
  }

  #checkSetup(origin: Origin, token: string): void {
    const { guard, audit } = this.#parts
    const wait = guard.waitMs(origin.address, SETUP_ACCOUNT)
    if (wait > 0) throw tooMany(wait)
    if (claimOf(token)?.kind === 'setup' && this.#isSetup(digestOf(token))) return guard.passed(origin.address)
    guard.failed(origin.address, SETUP_ACCOUNT)
    audit.note(eventOf('setUp', origin, '', '', 'FORBIDDEN'))
    throw setupRefused()
  }

  #isSetup(digest: string): boolean {
    const { setup, users } = this.#parts.file.read()
    if (setup === null || users.length > 0) return false
    // A clock that was set back gives it no longer life.
    const left = setup.until - this.#parts.clock.wall()
    return left > 0 && left <= SETUP_LIFE + CLOCK_SLACK && sameDigest(digest, setup.digest)
  }
}

const WRONG = 'user or password is wrong'
const NO_LOGIN = 'Call login with user and password first; API tokens are ended with revokeToken.'

const unauthorized = (message: string): BackupError =>
  new BackupError('UNAUTHORIZED', message, { hint: 'Check what you typed; after several failures you have to wait.' })

const setupRefused = (): BackupError =>
  new BackupError('FORBIDDEN', 'the setup token is wrong, used or too old', {
    hint: 'It counts once, within the hour. While there are no users each start of the server makes one.',
  })

function found(users: readonly StoredUser[], name: string): StoredUser {
  const user = users.find((one) => one.name === name)
  if (user === undefined) throw new BackupError('USER_NOT_FOUND', `there is no user ${name}`)
  return user
}
