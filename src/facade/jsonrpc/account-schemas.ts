import { z } from 'zod'
import { profileIdSchema, textOf } from '../../engine/profile-schema.ts'

/** Parameters and results of the methods about users, tokens, sessions and the audit trail. */

const role = z.enum(['viewer', 'operator', 'restorer', 'admin'])
const time = z.number().describe('Milliseconds since 1970 UTC.')
const count = z.int().min(0).max(Number.MAX_SAFE_INTEGER)
const number = z.int().min(1).max(Number.MAX_SAFE_INTEGER)

/** What is written of a user; whether it is a name, the accounts say. */
const userName = textOf(64).min(1).describe('Letters a–z, digits, ". _ @ -", beginning with a letter or digit.')
/** Long ones are refused before anything is computed from them. */
const password = z.string().min(1).max(1024).describe('At least 12 characters; compared as Unicode NFC.')
const profiles = z.array(profileIdSchema).max(1000)
const label = textOf(100)
  .min(1)
  // eslint-disable-next-line no-control-regex -- control characters are what is refused
  .refine((s) => !/[\u0000-\u001f\u007f]/.test(s), 'must not hold control characters')
const secret = z.string().describe('Shown here and never again.')
const tokenId = z
  .string()
  .max(32)
  .regex(/^[a-z0-9]+$/)

export const setUp = z.strictObject({
  setupToken: z.string().min(1).max(256).describe('As printed at the first start, and kept in the file setup-token.'),
  name: userName,
  password,
})
export const login = z.strictObject({ user: userName, password: z.string().max(1024) })
export const loginResult = z.strictObject({
  token: secret,
  user: z.string(),
  role,
  expiresAt: time,
})
export const identity = z.strictObject({
  name: z.string().describe('The user; "@host" for whoever holds the token file of the server.'),
  role,
  profiles: profiles.nullable().describe('Only these; null: all.'),
  kind: z.enum(['host', 'session', 'token']),
  fresh: z.boolean().describe('Whether the login is recent enough for what asks for that.'),
})
export const done = z.strictObject({ done: z.literal(true) })

export const user = z.strictObject({
  name: z.string(),
  role,
  profiles: profiles.nullable(),
  createdAt: time,
  passwordAt: time.describe('When the password was set.'),
})
export const userList = z.strictObject({ users: z.array(user) })
export const saveUser = z.strictObject({
  name: userName,
  role: role.exactOptional().describe('Absent: unchanged. A new user needs it.'),
  password: password.exactOptional().describe('Absent: unchanged. A new user needs one.'),
  profiles: profiles.nullable().exactOptional().describe('Only these; null: all. Absent: unchanged.'),
})
export const userRef = z.strictObject({ name: userName })
export const changePassword = z.strictObject({ old: z.string().max(1024), password })

const tokenInfo = {
  id: z.string(),
  name: z.string(),
  user: z.string(),
  role,
  profiles: profiles.nullable(),
  createdAt: time,
  expiresAt: time.nullable(),
  lastUsedAt: time.nullable().describe('Noted every few minutes.'),
}
export const token = z.strictObject({ ...tokenInfo, secret })
export const tokenList = z.strictObject({ tokens: z.array(z.strictObject(tokenInfo)) })
export const createToken = z.strictObject({
  name: label.describe('For people: what uses it.'),
  role: role.describe("Not above the user's own."),
  user: userName.exactOptional().describe('Whose; default: the caller. Others only for admins.'),
  expiresInMs: z.int().min(1000).max(316_224_000_000).exactOptional().describe('Absent: never.'),
  profiles: profiles.min(1).exactOptional().describe('Only these; absent: as the user.'),
})
export const tokenRef = z.strictObject({ id: tokenId })

export const getAudit = z.strictObject({
  from: number.exactOptional().describe('First entry wanted; absent: the newest.'),
  limit: z.int().min(1).max(1000).default(200),
})
const entry = z.strictObject({
  seq: number,
  time,
  event: z.string(),
  actor: z.string(),
  face: z.string(),
  address: z.string(),
  object: z.string(),
  result: z.string().describe('begun, ok, or the code of an error.'),
  request: z.string(),
  prev: z.string().describe('Hash of the entry before.'),
  hash: z.string(),
})
export const auditPage = z.strictObject({ entries: z.array(entry), total: count })
