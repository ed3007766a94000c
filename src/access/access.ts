import { createHash, timingSafeEqual } from 'node:crypto'
import type { Access, Role, Session } from '../engine/services.ts'

/** What each role may do besides its own. */
const INCLUDES: Readonly<Record<Role, readonly Role[]>> = {
  viewer: ['viewer'],
  operator: ['viewer', 'operator'],
  restorer: ['viewer', 'restorer'],
  admin: ['viewer', 'operator', 'restorer', 'admin'],
}

/** Longer ones are refused before anything is computed from them. */
const MAX_TOKEN = 512

const digest = (token: string): Buffer => createHash('sha256').update(token, 'utf8').digest()

/**
 * One admin token. Digests are compared, never the tokens: they have equal lengths whatever was sent,
 * so the comparison takes the same time and cannot throw.
 */
export function createAccess(token: string): Access {
  const expected = digest(token)
  const admin: Session = Object.freeze({ name: 'admin', role: 'admin' })
  return {
    authenticate(given) {
      if (given === undefined || given.length > MAX_TOKEN) return null
      return timingSafeEqual(digest(given), expected) ? admin : null
    },
    allows: (session, role) => INCLUDES[session.role].includes(role),
  }
}
