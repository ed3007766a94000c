import { isIPv4 } from 'node:net'
import type { Access, Audit, Origin, Purpose, Session, Tickets } from '../engine/services.ts'
import type { Clock } from '../lib/clock.ts'
import { BackupError } from '../lib/errors.ts'
import { eventOf } from './access.ts'
import { addressKey } from './address.ts'
import type { AttemptGuard } from './guard.ts'
import { MOST_TICKETS, MOST_TICKETS_KEPT, TICKET_KEPT, TICKET_LIFE } from './limits.ts'
import { claimOf, digestOf, newSecret, sameDigest } from './secret.ts'
import { tooMany } from './traffic.ts'

interface Ticket {
  readonly digest: string
  readonly session: Session
  readonly purpose: Purpose
  readonly family: Family
  /** Monotonic: no clock that is set makes it live longer. */
  readonly madeAt: number
  used: boolean
  /** That it was refused stands in the trail: whoever holds a dead one must not fill that. */
  told: boolean
}

type Family = 'ipv4' | 'ipv6'

const familyOf = (origin: Origin): Family => (isIPv4(addressKey(origin.address)) ? 'ipv4' : 'ipv6')

export interface TicketParts {
  readonly clock: Clock
  readonly guard: AttemptGuard
  readonly audit: Audit
  readonly access: Access
}

/** Kept in memory, by digest: they outlive no restart, and are good in the process that made them. */
export class TicketBook implements Tickets {
  readonly #parts: TicketParts
  /** By id, oldest first. */
  readonly #tickets = new Map<string, Ticket>()

  constructor(parts: TicketParts) {
    this.#parts = parts
  }

  make(session: Session, origin: Origin, purpose: Purpose): { secret: string; expiresAt: number } {
    const { clock } = this.#parts
    this.#sweep()
    const mine = [...this.#tickets.values()].filter((one) => !one.used && isSame(one.session, session))
    if (mine.length >= MOST_TICKETS) throw tooMany(TICKET_LIFE)
    const { id, secret, digest } = newSecret('ticket')
    const ticket = {
      digest,
      session,
      purpose,
      family: familyOf(origin),
      madeAt: clock.mono(),
      used: false,
      told: false,
    }
    this.#tickets.set(id, ticket)
    return { secret, expiresAt: clock.wall() + TICKET_LIFE }
  }

  take(secret: string, origin: Origin, purpose: Purpose): Session {
    const { guard, access } = this.#parts
    const claim = claimOf(secret)
    const found = claim?.kind === 'ticket' ? this.#tickets.get(claim.id) : undefined
    const wait = guard.waitMs(origin.address, undefined, found !== undefined)
    if (wait > 0) throw tooMany(wait)
    if (found === undefined || !sameDigest(digestOf(secret), found.digest)) {
      guard.failed(origin.address)
      this.#note(origin, '')
      throw refused()
    }
    const first = !found.used
    found.used = true
    const late = this.#parts.clock.mono() - found.madeAt > TICKET_LIFE
    const fits = found.purpose === purpose && found.family === familyOf(origin)
    const session = first && !late && fits ? access.current(found.session) : null
    if (session !== null) return session
    if (!found.told) this.#note(origin, found.session.name)
    found.told = true
    throw refused()
  }

  #note(origin: Origin, actor: string): void {
    this.#parts.audit.note(eventOf('ticket.refused', origin, actor, '', 'FORBIDDEN'))
  }

  /** What expired long ago is forgotten; then what is oldest. */
  #sweep(): void {
    const now = this.#parts.clock.mono()
    for (const [id, { madeAt }] of this.#tickets) {
      if (now - madeAt <= TICKET_KEPT && this.#tickets.size < MOST_TICKETS_KEPT) return
      this.#tickets.delete(id)
    }
  }
}

const isSame = (a: Session, b: Session): boolean => a.name === b.name && a.id === b.id

const refused = (): BackupError =>
  new BackupError('FORBIDDEN', 'this link does not count, or not any more', {
    hint: 'Ask for a new one: a link counts once, within a minute.',
  })
