import type { Role, Session } from '../engine/services.ts'

/** What each role may do besides its own. */
const INCLUDES: Readonly<Record<Session['role'], readonly Role[]>> = {
  none: [],
  viewer: ['viewer'],
  operator: ['viewer', 'operator'],
  restorer: ['viewer', 'restorer'],
  admin: ['viewer', 'operator', 'restorer', 'admin'],
}

export const ROLES: readonly Role[] = ['viewer', 'operator', 'restorer', 'admin']

/** Whether `role` may do what `wanted` may. */
export const includes = (role: Session['role'], wanted: Role): boolean => INCLUDES[role].includes(wanted)

/** The most that both may do: what a token made with `a` is worth once its user has only `b`. */
export function lesser(a: Role, b: Role): Role {
  if (includes(a, b)) return b
  return includes(b, a) ? a : 'viewer'
}

/** Profiles that both may see; null stands for all. */
export function common(a: readonly number[] | null, b: readonly number[] | null): readonly number[] | null {
  if (a === null || b === null) return a ?? b
  return a.filter((id) => b.includes(id))
}
