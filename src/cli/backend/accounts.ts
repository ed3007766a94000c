import type {
  Accounts,
  Audit,
  AuditEntry,
  AuditVerdict,
  Session,
  TokenInfo,
  TokenInput,
  UserInfo,
  UserInput,
} from '../../engine/services.ts'
import { BackupError } from '../../lib/errors.ts'
import type { RatchetClient } from '../../client/client.ts'
import { remoteErrors } from './remote-errors.ts'

/** Users, tokens and the audit trail, as commands see them. */
export interface AccountStore {
  users(): Promise<UserInfo[]>
  saveUser(user: UserInput): Promise<UserInfo>
  removeUser(name: string): Promise<void>
  tokens(): Promise<TokenInfo[]>
  createToken(token: TokenInput): Promise<TokenInfo & { secret: string }>
  revokeToken(id: string): Promise<void>
  audit(from: number | undefined, limit: number): Promise<{ entries: AuditEntry[]; total: number }>
  verifyAudit(): Promise<AuditVerdict>
}

/** Whoever works on the data folder itself: may write every file in it, so may do everything. */
const LOCAL: Session = { name: '@local', role: 'admin', profiles: null, kind: 'host', id: '', loginAt: null }

/** In this process. What it changes counts at once in servers on the same folder, and stands in the trail. */
export function localAccounts({ accounts, audit }: { accounts: Accounts; audit: Audit }): AccountStore {
  return {
    users: async () => accounts.listUsers(),
    async saveUser(user) {
      noteLocal(audit, 'user.save', 'user', 'begun')
      const saved = await accounts.saveUser(user)
      noteLocal(audit, 'user.save', `user:${saved.name}`)
      return saved
    },
    async removeUser(name) {
      noteLocal(audit, 'user.delete', 'user', 'begun')
      accounts.deleteUser(name)
      noteLocal(audit, 'user.delete', `user:${name.toLowerCase()}`)
    },
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

/** An entry for what the command line does on the data folder itself. */
export function noteLocal(audit: Audit, event: string, object: string, result = 'ok'): void {
  audit.note({ event, actor: LOCAL.name, face: 'cli', address: '', object, result, request: '' })
}

/** Behind a server. */
export function remoteAccounts(client: RatchetClient): AccountStore {
  return {
    users: () => remoteErrors(() => client.listUsers()),
    saveUser: (user) => remoteErrors(() => client.saveUser(user)),
    removeUser: (name) => remoteErrors(() => client.deleteUser(name)),
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
