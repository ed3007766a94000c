import type { AccountsData, Credential, StoredUser } from './accounts-file.ts'
import { EXPIRED_KEPT, MOST_SESSIONS, SESSION_IDLE, SESSION_LIFE } from './limits.ts'

/** Changes of the users' file that concern no single part of it. Pure: the old data in, the new out. */

export const withoutSetup = (data: AccountsData): AccountsData => ({ ...data, setup: null })

/** Leaves out what expired so long ago that nobody asks any more, and sessions that have been idle for too long. */
export function swept(credentials: readonly Credential[], now: number): Credential[] {
  return credentials.filter((one) => {
    if (one.expiresAt !== null && now > one.expiresAt + EXPIRED_KEPT) return false
    return one.kind === 'token' || now - Math.max(one.createdAt, one.lastUsedAt ?? 0) <= SESSION_IDLE + EXPIRED_KEPT
  })
}

export interface SessionInput {
  readonly id: string
  readonly digest: string
  readonly user: StoredUser
  readonly now: number
}

/** A user has so many sessions; the oldest goes. */
export function addSession(data: AccountsData, { id, digest, user, now }: SessionInput): AccountsData {
  const session: Credential = {
    id,
    kind: 'session',
    user: user.name,
    name: '',
    role: user.role,
    profiles: null,
    digest,
    createdAt: now,
    expiresAt: now + SESSION_LIFE,
    lastUsedAt: now,
  }
  const credentials = swept(data.credentials, now)
  const own = credentials.filter((one) => one.kind === 'session' && one.user === user.name)
  const gone = new Set(own.toSorted((a, b) => b.createdAt - a.createdAt).slice(MOST_SESSIONS - 1))
  return { ...data, credentials: [...credentials.filter((one) => !gone.has(one)), session] }
}
