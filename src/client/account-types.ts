/** Users, tokens and the audit trail, as the wire shows them. Times in milliseconds since 1970. */

export type Role = 'viewer' | 'operator' | 'restorer' | 'admin'

export interface LoginResult {
  /** Shown this once. */
  token: string
  user: string
  role: Role
  expiresAt: number
}

export interface Identity {
  name: string
  role: Role
  /** Only these; null: all. */
  profiles: number[] | null
  kind: 'host' | 'session' | 'token'
  /** Whether the login is recent enough for what asks for that. */
  fresh: boolean
}

export interface User {
  name: string
  role: Role
  profiles: number[] | null
  createdAt: number
  passwordAt: number
}

export interface UserParams {
  name: string
  /** Absent: unchanged. A new user needs role and password. */
  role?: Role
  password?: string
  profiles?: number[] | null
}

export interface Token {
  id: string
  name: string
  user: string
  role: Role
  profiles: number[] | null
  createdAt: number
  expiresAt: number | null
  lastUsedAt: number | null
}

export interface TokenParams {
  name: string
  role: Role
  user?: string
  expiresInMs?: number
  profiles?: number[]
}

export interface AuditEntry {
  seq: number
  time: number
  event: string
  actor: string
  face: string
  address: string
  object: string
  result: string
  request: string
  prev: string
  hash: string
}

export interface AuditPage {
  entries: AuditEntry[]
  total: number
}
