import { BackupError } from '../../lib/errors.ts'
import type { Role, Session } from '../../engine/services.ts'
import { method } from '../facade.ts'
import * as s from './account-schemas.ts'
import { none } from './schemas.ts'

/** Names that may be typed wrong, or hold a password, come into the trail only in the form of a name. */
const userObject = (name: string): string => (/^[a-z0-9][a-z0-9._@-]{0,63}$/i.test(name) ? `user:${name}` : 'user')

const DONE = { done: true } as const

function roleOf(session: Session): Role {
  if (session.role === 'none') throw new BackupError('UNAUTHORIZED', 'nobody is logged in')
  return session.role
}

const own = {
  login: method({
    role: 'anyone',
    summary: 'Answers user and password with a session token, to be sent as the bearer token of other calls.',
    params: s.login,
    result: s.loginResult,
    run: ({ accounts }, input, { origin }) => accounts.login(origin, input),
  }),
  setUp: method({
    role: 'anyone',
    summary: 'Makes the first admin. Takes the setup token that the first start of the server prints; it counts once.',
    trail: { event: 'setUp', object: (_input, user) => (user === null ? '' : userObject(user.name)) },
    params: s.setUp,
    result: s.user,
    run: ({ accounts }, input, { origin }) => accounts.setUp(origin, input),
  }),
  logout: method({
    role: 'viewer',
    summary: 'Ends the session whose token is sent.',
    trail: { event: 'logout', object: () => '' },
    params: none,
    result: s.done,
    run({ accounts }, _none, { session }) {
      accounts.logout(session)
      return DONE
    },
  }),
  whoAmI: method({
    role: 'viewer',
    summary: 'Who calls, and what that allows.',
    params: none,
    result: s.identity,
    run: ({ access }, _none, { session }) => ({
      name: session.name,
      role: roleOf(session),
      profiles: session.profiles === null ? null : [...session.profiles],
      kind: session.kind === 'none' ? 'token' : session.kind,
      fresh: access.isFresh(session, 'login'),
    }),
  }),
  changePassword: method({
    role: 'viewer',
    summary: "Changes the caller's own password and ends all sessions of the user.",
    trail: { event: 'password.change', object: () => '' },
    params: s.changePassword,
    result: s.done,
    async run({ accounts }, input, { origin, session }) {
      await accounts.changePassword(origin, session, input)
      return DONE
    },
  }),
}

const tokens = {
  createToken: method({
    role: 'viewer',
    fresh: 'login',
    summary: 'Makes an API token of a user, with a role not above the user’s.',
    trail: { event: 'token.create', object: (_input, made) => (made === null ? 'token' : `token:${made.id}`) },
    params: s.createToken,
    result: s.token,
    run: ({ accounts }, input, { session }) => accounts.createToken(session, input),
  }),
  listTokens: method({
    role: 'viewer',
    summary: "The caller's API tokens, without their secrets; an admin sees all.",
    params: none,
    result: s.tokenList,
    run: ({ accounts }, _none, { session }) => ({ tokens: accounts.listTokens(session) }),
  }),
  revokeToken: method({
    role: 'viewer',
    summary: 'Ends an API token, at once.',
    trail: { event: 'token.revoke', object: ({ id }, done) => (done === null ? 'token' : `token:${id}`) },
    params: s.tokenRef,
    result: s.done,
    run({ accounts }, { id }, { session }) {
      accounts.revokeToken(session, id)
      return DONE
    },
  }),
}

const administration = {
  listUsers: method({
    role: 'admin',
    summary: 'All users.',
    params: none,
    result: s.userList,
    run: ({ accounts }) => ({ users: accounts.listUsers() }),
  }),
  saveUser: method({
    role: 'admin',
    fresh: 'login',
    summary: 'Adds or changes a user. The sessions of the user end.',
    trail: {
      event: 'user.save',
      object: ({ name }, user) => (user === null ? 'user' : userObject(name)),
      first: true,
    },
    params: s.saveUser,
    result: s.user,
    run: ({ accounts }, input) => accounts.saveUser(input),
  }),
  deleteUser: method({
    role: 'admin',
    fresh: 'login',
    summary: 'Removes a user with all tokens and sessions.',
    trail: {
      event: 'user.delete',
      object: ({ name }, done) => (done === null ? 'user' : userObject(name)),
      first: true,
    },
    params: s.userRef,
    result: s.done,
    run({ accounts }, { name }) {
      accounts.deleteUser(name)
      return DONE
    },
  }),
  getAudit: method({
    role: 'admin',
    summary: 'Entries of the audit trail, oldest first.',
    params: s.getAudit,
    result: s.auditPage,
    run: ({ audit }, { from, limit }) => audit.read(from, limit),
  }),
}

/** Users, tokens, sessions and the audit trail. */
export const accounts = { ...own, ...tokens, ...administration }
