import type {
  Accounts,
  Audit,
  AuditEntry,
  AuditVerdict,
  TokenInfo,
  TokenInput,
  UserInfo,
  UserInput,
} from '../../engine/services.ts'
import { BackupError } from '../../lib/errors.ts'
import type { LoginResult } from '../../client/account-types.ts'
import type { RatchetClient } from '../../client/client.ts'
import { LOCAL, noteLocal, trailedLocal } from './local-trail.ts'
import { remoteErrors } from './remote-errors.ts'

/** Users, tokens and the audit trail, as commands see them. */
export interface AccountStore {
  users(): Promise<UserInfo[]>
  saveUser(user: UserInput): Promise<UserInfo>
  removeUser(name: string): Promise<void>
  /** A token for some hours, to be shown as any other; fresh for some minutes. */
  login(name: string, password: string): Promise<LoginResult>
  tokens(): Promise<TokenInfo[]>
  createToken(token: TokenInput): Promise<TokenInfo & { secret: string }>
  revokeToken(id: string): Promise<void>
  audit(from: number | undefined, limit: number): Promise<{ entries: AuditEntry[]; total: number }>
  verifyAudit(): Promise<AuditVerdict>
}

/** In this process. What it changes counts at once in servers on the same folder, and stands in the trail. */
export function localAccounts({ accounts, audit }: { accounts: Accounts; audit: Audit }): AccountStore {
  return {
    users: async () => accounts.listUsers(),
    saveUser: (user) =>
      trailedLocal<UserInfo>(
        audit,
        'user.save',
        (saved) => (saved === null ? 'user' : `user:${saved.name}`),
        () => accounts.saveUser(user),
      ),
    async removeUser(name) {
      const work = (): string => {
        accounts.deleteUser(name)
        return name.toLowerCase()
      }
      await trailedLocal(audit, 'user.delete', (gone) => (gone === null ? 'user' : `user:${gone}`), work)
    },
    login: () =>
      Promise.reject(
        new BackupError('BAD_REQUEST', 'a login is for servers', {
          hint: 'Name one with --url. Whoever works on the data folder itself needs none.',
        }),
      ),
    tokens: async () => accounts.listTokens(LOCAL),
    async createToken(token) {
      const made = accounts.createToken(LOCAL, token)
      noteLocal(audit, 'token.create', `token:${made.id}`)
      return made
    },
    async revokeToken(id) {
      accounts.revokeToken(LOCAL, id)
      noteLocal(audit, 'token.revoke', `token:${id}`)
    },
    audit: async (from, limit) => audit.read(from, limit),
    verifyAudit: async () => audit.verify(),
  }
}

/** Behind a server. */
export function remoteAccounts(client: RatchetClient): AccountStore {
  return {
    users: () => remoteErrors(() => client.listUsers()),
    saveUser: (user) => remoteErrors(() => client.saveUser(user)),
    removeUser: (name) => remoteErrors(() => client.deleteUser(name)),
    login: (name, password) => remoteErrors(() => client.login(name, password)),
    tokens: () => remoteErrors(() => client.listTokens()),
    createToken: (token) => remoteErrors(() => client.createToken(token)),
    revokeToken: (id) => remoteErrors(() => client.revokeToken(id)),
    audit: (from, limit) => remoteErrors(() => client.getAudit(from === undefined ? { limit } : { from, limit })),
    verifyAudit: () =>
      Promise.reject(
        new BackupError('BAD_REQUEST', 'the audit trail is verified on the host that holds it', {
          hint: 'Run it there, with --data; over the network the server would vouch for itself.',
        }),
      ),
  }
}
