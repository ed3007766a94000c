import type { JobKind } from './spec.ts'

/**
 * Who calls, what that allows, and what is written down about it: the words of `Services` for access. Implemented in
 * `access/`, used by every face.
 */

export type Role = 'viewer' | 'operator' | 'restorer' | 'admin'

/** Who calls, as one call sees it: roles and limits as they are now. */
export interface Session {
  /** Name of the user; `@host` for whoever holds the token file, `@local` for the command line on this host. */
  readonly name: string
  /** `none`: nobody has shown anything yet. */
  readonly role: Role | 'none'
  /** Profiles this caller may see and use; null: all. */
  readonly profiles: readonly number[] | null
  /** What was shown: the token file of this host, a login, an API token, nothing. */
  readonly kind: 'host' | 'session' | 'token' | 'none'
  /** Names the session or token in the audit trail; empty for the others. */
  readonly id: string
  /** When the password was given: wall clock, milliseconds; null where none was. */
  readonly loginAt: number | null
}

/** Where a call comes from. Facades fill it in; `address` is believed, so a facade must know whom it asks. */
export interface Origin {
  readonly face: string
  readonly address: string
  /** Names the call in the audit trail. */
  readonly request?: string
  /** The method or route asked for: one of ours, never as a stranger spelled it. */
  readonly method?: string
}

/**
 * How recent the proof has to be. `login`: a password within the last minutes, or the token file of the host.
 * `restore`: that, or a token whose role may restore (its target lies below a restore root, or is refused).
 */
export type Freshness = 'login' | 'restore'

/** `rate`: so many a minute. `work`: steps, status and progress, bounded only by how many run at once. */
export type Pace = 'rate' | 'work'

export interface Access {
  /**
   * The session behind a bearer token, or null. Wrong ones and missing ones are counted; TOO_MANY_REQUESTS (with
   * `retryAfterMs`) when this address must wait, whatever it shows.
   */
  enter(token: string | undefined, origin: Origin): Session | null
  /** The same caller as he is now; null: what he showed counts no more. */
  current(session: Session): Session | null
  allows(session: Session, role: Role): boolean
  isFresh(session: Session, how: Freshness): boolean
  /** Counts a call. TOO_MANY_REQUESTS beyond the limits. To be released when the call has been answered. */
  admit(session: Session, pace: Pace): Disposable
  /** Counts a job that is about to be started. TOO_MANY_REQUESTS beyond so many a minute. */
  admitStart(session: Session): void
  /** Whether the caller may see this job, and with the role for it work on it. */
  sees(session: Session, job: { kind: JobKind; profile: number; startedBy?: string | undefined }): boolean
  seesProfile(session: Session, profile: number): boolean
  /** The same as a filter for lists; undefined: everything. */
  scope(session: Session): Scope | undefined
}

export interface UserInfo {
  name: string
  role: Role
  profiles: number[] | null
  createdAt: number
  passwordAt: number
}

export interface TokenInfo {
  id: string
  /** What its user calls it. */
  name: string
  user: string
  role: Role
  profiles: number[] | null
  createdAt: number
  expiresAt: number | null
  /** Noted every few minutes only. */
  lastUsedAt: number | null
}

export interface UserInput {
  name: string
  /** These three: absent means unchanged; a new user needs role and password. */
  role?: Role
  password?: string
  profiles?: number[] | null
}

export interface TokenInput {
  name: string
  /** Not above the user's own. */
  role: Role
  /** Whose; default: the caller. Others only for admins. */
  user?: string
  /** Milliseconds from now; absent: never. */
  expiresInMs?: number
  profiles?: number[]
}

export interface LoginResult {
  /** Shown here and never again. */
  token: string
  user: string
  role: Role
  expiresAt: number
}

/** Users, their tokens and sessions. Changes count at once, in every process on the data folder. */
export interface Accounts {
  /** Whether there is a user: until then nobody but the host is served. */
  isSetUp(): boolean
  /** Makes the first admin; the setup token counts once. FORBIDDEN. */
  setUp(origin: Origin, input: { setupToken: string; name: string; password: string }): Promise<UserInfo>
  /** UNAUTHORIZED for a wrong password and an unknown user alike; FORBIDDEN while there are no users; TOO_MANY_REQUESTS. */
  login(origin: Origin, input: { user: string; password: string }): Promise<LoginResult>
  logout(session: Session): void
  listUsers(): UserInfo[]
  /** USER_NOT_FOUND, PASSWORD_REFUSED, BAD_REQUEST. A new password or role ends the user's sessions. */
  saveUser(input: UserInput): Promise<UserInfo>
  /** With all tokens and sessions. */
  deleteUser(name: string): void
  /** Of the caller's own; ends all sessions of the user. UNAUTHORIZED when the old one is wrong. */
  changePassword(origin: Origin, session: Session, input: { old: string; password: string }): Promise<void>
  /** `secret` is shown here and never again. FORBIDDEN beyond the caller's own rights. */
  createToken(session: Session, input: TokenInput): TokenInfo & { secret: string }
  /** The caller's own; an admin sees all. */
  listTokens(session: Session): TokenInfo[]
  /** TOKEN_NOT_FOUND also for somebody else's. */
  revokeToken(session: Session, id: string): void
}

/** What a ticket is good for: one object of one backup, named in one way. */
export type Purpose = `${string}/${string}`

/**
 * Links that work without a token, once and for a minute: for browsers, which send none with a click. A ticket is
 * worth what its maker may do when it is used.
 */
export interface Tickets {
  /** `secret` is shown here and never again. TOO_MANY_REQUESTS. */
  make(session: Session, origin: Origin, purpose: Purpose): { secret: string; expiresAt: number }
  /**
   * Who made it. Counts once, whatever comes of it. FORBIDDEN, in the same words, for one that is unknown, late, used,
   * made for something else or from another kind of network, or whose maker is nobody any more; unknown ones
   * count as guesses. TOO_MANY_REQUESTS.
   */
  take(secret: string, origin: Origin, purpose: Purpose): Session
}

/** One line of the audit trail, beside what chains it. */
export interface AuditEvent {
  event: string
  /** Name of the user; empty: nobody known. */
  actor: string
  face: string
  address: string
  /** What it was about: `job:12`, `user:anna`. Never a secret, never free text of strangers. */
  object: string
  /** `begun`, `ok`, or the code of an error. */
  result: string
  request: string
}

export interface AuditEntry extends AuditEvent {
  /** 1, 2, 3 … */
  seq: number
  /** Milliseconds since 1970. */
  time: number
  /** SHA-256 of the entry before, and of this one. */
  prev: string
  hash: string
}

export interface AuditVerdict {
  ok: boolean
  entries: number
  /** Name of the file that holds the first bad line. */
  file: string | null
  /** Its number there, counted from 1. */
  line: number | null
  reason: string
  /** Hash of the last entry: noted elsewhere it proves that the trail was not written anew. */
  head: string
}

export interface Audit {
  /** Returns when the entry will survive a power cut. */
  note(event: AuditEvent): void
  /** Entries from number `from` on; absent: the newest `limit`. In ascending order. */
  read(from: number | undefined, limit: number): { entries: AuditEntry[]; total: number }
  /** Reads everything; changes nothing. */
  verify(): AuditVerdict
}

/** What a caller may see: every backup of these profiles (null: of all), and whatever it started itself. */
export interface Scope {
  name: string
  profiles: readonly number[] | null
}

/**
 * Whether a caller with this scope sees the job. Backups go by profile; a restore tells where things lie on the
 * host, so it is for whoever started it; a verification is for those who see every profile as well.
 */
export function inScope(
  job: { kind: JobKind; profile: number; startedBy?: string | undefined },
  scope: Scope,
): boolean {
  if (job.kind === 'backup') return scope.profiles === null || scope.profiles.includes(job.profile)
  return job.startedBy === scope.name || (job.kind === 'verify' && scope.profiles === null)
}
