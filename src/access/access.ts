import type { Access, Audit, AuditEvent, Origin, Session } from '../engine/services.ts'
import { inScope } from '../engine/services.ts'
import type { Clock } from '../lib/clock.ts'
import { BackupError, errnoOf } from '../lib/errors.ts'
import type { AccountsFile, Credential } from './accounts-file.ts'
import type { AttemptGuard } from './guard.ts'
import { CLOCK_SLACK, FRESH, NOTED_EVERY, SESSION_IDLE } from './limits.ts'
import { common, includes, lesser } from './roles.ts'
import { claimOf, digestOf, MAX_SECRET, sameDigest } from './secret.ts'
import { tooMany, type Traffic } from './traffic.ts'

/** Whoever holds the token file of this host: may read the data folder, so may do everything. */
export const HOST: Session = Object.freeze({
  name: '@host',
  role: 'admin',
  profiles: null,
  kind: 'host',
  id: '',
  loginAt: null,
})

export interface AccessParts {
  readonly clock: Clock
  readonly file: AccountsFile
  readonly guard: AttemptGuard
  readonly traffic: Traffic
  readonly audit: Audit
  /** The token file's content, read when it is first needed. */
  readonly hostToken: () => string
}

/** An address is noted in the audit trail once a day for each token that comes from it. */
const USE_NOTED_EVERY = 24 * 3600_000
const MOST_USES = 4_096

type Standing = { session: Session } | 'wrong' | 'over'

/** Who calls, for all faces. */
export class AccessControl implements Access {
  readonly #parts: AccessParts
  /** By credential: when it was used last, and when that was noted. Wall clock. */
  readonly #used = new Map<string, { last: number; noted: number }>()
  readonly #uses = new Map<string, number>()
  #host: string | null = null

  constructor(parts: AccessParts) {
    this.#parts = parts
  }

  enter(token: string | undefined, origin: Origin): Session | null {
    const { guard, traffic } = this.#parts
    const { address } = origin
    const claim = token === undefined ? null : claimOf(token)
    const known = claim === null || claim.kind === 'setup' ? undefined : this.#parts.file.find(claim.id)
    const account = known === undefined ? undefined : `credential ${known.id}`
    const wait = guard.waitMs(address, account, known !== undefined)
    if (wait > 0) throw tooMany(wait)
    if (token === undefined) {
      traffic.stranger(address)
      return null
    }
    const found = this.#look(token, known)
    if (typeof found !== 'string') {
      guard.passed(address, account)
      this.#noteUse(found.session, origin)
      return found.session
    }
    if (found === 'over') return null // what once was right is no guess
    guard.failed(address, account)
    this.#note(eventOf('token.refused', origin, known?.user ?? '', known === undefined ? '' : objectOf(known)))
    return null
  }

  current(session: Session): Session | null {
    if (session.kind === 'host') return session
    const known = this.#parts.file.find(session.id)
    return known === undefined ? null : (this.#sessionOf(known)?.session ?? null)
  }

  allows(session: Session, role: Parameters<Access['allows']>[1]): boolean {
    return includes(session.role, role)
  }

  isFresh(session: Session, how: Parameters<Access['isFresh']>[1]): boolean {
    if (session.kind === 'host') return true
    if (session.kind === 'token') return how === 'restore' && includes(session.role, 'restorer')
    const age = session.loginAt === null ? Infinity : this.#parts.clock.wall() - session.loginAt
    return age <= FRESH && age >= -CLOCK_SLACK
  }

  admit(session: Session, pace: Parameters<Access['admit']>[1]): Disposable {
    return this.#parts.traffic.admit(callerOf(session), pace)
  }

  admitStart(session: Session): void {
    this.#parts.traffic.start(callerOf(session))
  }

  sees(session: Session, job: Parameters<Access['sees']>[1]): boolean {
    const scope = this.scope(session)
    return scope === undefined || inScope(job, scope)
  }

  seesProfile(session: Session, profile: number): boolean {
    return session.profiles === null || session.profiles.includes(profile)
  }

  scope(session: Session): ReturnType<Access['scope']> {
    if (includes(session.role, 'admin') && session.profiles === null) return undefined
    return { name: session.name, profiles: session.profiles }
  }

  #look(token: string, known: Credential | undefined): Standing {
    if (token.length > MAX_SECRET) return 'wrong'
    const digest = digestOf(token)
    this.#host ??= digestOf(this.#parts.hostToken())
    if (sameDigest(digest, this.#host)) return { session: HOST }
    if (known === undefined || !sameDigest(digest, known.digest)) return 'wrong'
    return this.#sessionOf(known) ?? 'over'
  }

  /** What the credential is worth now; null: nothing any more. */
  #sessionOf(known: Credential): { session: Session } | null {
    const user = this.#parts.file.read().users.find((one) => one.name === known.user)
    const now = this.#parts.clock.wall()
    if (user === undefined || (known.expiresAt !== null && now >= known.expiresAt)) return null
    if (known.kind === 'session') {
      const last = Math.max(known.createdAt, known.lastUsedAt ?? 0, this.#used.get(known.id)?.last ?? 0)
      if (now - last > SESSION_IDLE || now < known.createdAt - CLOCK_SLACK) return null
    }
    const session: Session = {
      name: user.name,
      role: known.kind === 'session' ? user.role : lesser(known.role, user.role),
      profiles: common(known.profiles, user.profiles),
      kind: known.kind,
      id: known.id,
      loginAt: known.kind === 'session' ? known.createdAt : null,
    }
    return { session }
  }

  /** When it was used last stays in memory; the file hears of it every few minutes. */
  #noteUse(session: Session, origin: Origin): void {
    if (session.id === '') return
    const now = this.#parts.clock.wall()
    const used = this.#used.get(session.id) ?? { last: now, noted: -Infinity }
    used.last = now
    remember(this.#used, session.id, used)
    if (now - used.noted >= NOTED_EVERY) {
      used.noted = now
      this.#write(session.id, now)
    }
    const place = `${session.id} ${origin.address}`
    if (session.kind !== 'token' || now - (this.#uses.get(place) ?? -Infinity) < USE_NOTED_EVERY) return
    if (this.#note(eventOf('token.used', origin, session.name, `token:${session.id}`, 'ok')))
      remember(this.#uses, place, now)
  }

  /**
   * On a full disk nobody is shut out who may come to make room, and a stranger learns nothing of it: what changes
   * something has an entry of its own, or does not happen.
   */
  #note(event: AuditEvent): boolean {
    try {
      this.#parts.audit.note(event)
      return true
    } catch (error) {
      if (!(error instanceof BackupError)) throw error
      return false
    }
  }

  #write(id: string, now: number): void {
    try {
      this.#parts.file.change((data) => {
        const found = data.credentials.find((one) => one.id === id)
        if (found === undefined || now - (found.lastUsedAt ?? 0) < NOTED_EVERY) return null
        const credentials = data.credentials.map((one) => (one === found ? { ...one, lastUsedAt: now } : one))
        return { ...data, credentials }
      })
    } catch (error) {
      // A full disk must not shut out whoever comes to make room.
      if (!(error instanceof BackupError) && errnoOf(error) === undefined) throw error
    }
  }
}

function remember<V>(map: Map<string, V>, key: string, value: V): void {
  map.delete(key)
  map.set(key, value)
  for (const oldest of map.keys()) {
    if (map.size <= MOST_USES) return
    map.delete(oldest)
  }
}

const objectOf = (known: Credential): string => `${known.kind}:${known.id}`

/** An event of the trail, for what happens before there is a call. */
export function eventOf(
  event: string,
  origin: Origin,
  actor: string,
  object: string,
  result = 'UNAUTHORIZED',
): Parameters<Audit['note']>[0] {
  const { face, address, request = '' } = origin
  return { event, actor, face, address, object, result, request }
}

const callerOf = ({ id, name }: Session): string => (id === '' ? name : id)
