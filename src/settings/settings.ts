import path from 'node:path'
import { LowSync } from 'lowdb'
import { z } from 'zod'
import { serverAccessSchema } from '../engine/database-schema.ts'
import { complaintOf, pathSchema } from '../engine/profile-schema.ts'
import type { Disk } from '../lib/disk.ts'
import { LOG_LEVEL_NAMES } from '../lib/log-level.ts'
import { checkFormat, damaged, DurableJsonFile } from './json-file.ts'

/** `settings.json`: what only the host decides. Written by people; no face can change it. */

export const SETTINGS_FORMAT = 1
export const DEFAULT_PORT = 8731

const folders = z.array(pathSchema).max(1000).default([])
const count = (value: number): z.ZodDefault<z.ZodInt> => z.int().min(1).max(65_535).default(value)

const many = (value: number): z.ZodDefault<z.ZodInt> => z.int().min(1).max(1_000_000).default(value)

const hostName = z
  .string()
  .max(253)
  .regex(/^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)$/, 'must be a host name or address without a port')

const network = z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()])

export const settingsSchema = z.strictObject({
  format: z.literal(SETTINGS_FORMAT).default(SETTINGS_FORMAT),
  listen: z
    .strictObject({
      host: z.string().min(1).max(253).default('127.0.0.1'),
      /** 0: chosen by the system. */
      port: z.int().min(0).max(65_535).default(DEFAULT_PORT),
      /** Says that a proxy with TLS stands in front: without it only loopback may be listened on. */
      behindTlsProxy: z.boolean().default(false),
      /** Addresses or networks of proxies whose X-Forwarded-For is believed. */
      trustedProxies: z.array(network).max(100).default([]),
    })
    .prefault({}),
  /** Host headers accepted besides 127.0.0.1, localhost and [::1]: names that a proxy forwards. */
  allowedHosts: z.array(hostName).max(100).default([]),
  /** The server's own log, on stderr. RATCHET_LOG overrides it. */
  log: z.strictObject({ level: z.enum(LOG_LEVEL_NAMES).default('info') }).prefault({}),
  /** Over the network only paths below these may be named. */
  roots: z.strictObject({ sources: folders, outputs: folders, restores: folders, archives: folders }).prefault({}),
  /** Database servers by name, for profiles to name: over the network a profile can name no others. */
  databaseServers: z
    .record(z.string().min(1).max(64), serverAccessSchema.extend({ password: z.string().max(1024).exactOptional() }))
    .default({}),
  limits: z
    .strictObject({
      connections: count(1024),
      connectionsPerAddress: count(100),
      unauthenticated: count(64),
      unauthenticatedPerAddress: count(8),
      /** Of one token or login; steps, status and progress are bounded by `callsAtOnce` instead. */
      requestsPerMinute: many(600),
      /** Jobs started by one token or login. */
      startsPerMinute: many(60),
      /** Without a token, of one address. */
      strangersPerMinute: many(60),
      loginsPerMinute: many(10),
      /** Of one token or login, and of all together. */
      callsAtOnce: count(64),
      allCallsAtOnce: count(256),
    })
    .prefault({}),
})

export type Settings = z.output<typeof settingsSchema>
export type RootFolders = Settings['roots']

function check(raw: unknown, file: string): Settings {
  checkFormat(raw, SETTINGS_FORMAT, file)
  const parsed = settingsSchema.safeParse(raw)
  if (!parsed.success) throw damaged(file, complaintOf(parsed.error), parsed.error)
  return parsed.data
}

/**
 * Reads `<folder>/settings.json`; defaults where it or one of its keys is absent. STATE_DAMAGED,
 * STATE_TOO_NEW. With `create`, a missing file is written with the defaults, for people to edit.
 */
export function loadSettings(disk: Disk, folder: string, options: { create?: boolean } = {}): Settings {
  const defaults = settingsSchema.parse({})
  const adapter = new DurableJsonFile(disk, path.join(folder, 'settings.json'), check)
  const found = adapter.read()
  const db = new LowSync<Settings>(adapter, found ?? defaults)
  if (found === null && options.create === true) db.write()
  return db.data
}
