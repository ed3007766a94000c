import fs from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hasPostgres, startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { definitions, picture, roundTrip } from './postgres-fixture.ts'

const HOSTILE = fs.readFileSync(new URL('./postgres-hostile.sql', import.meta.url), 'utf8')

let server: PostgresServer

beforeAll(async () => {
  if (!hasPostgres) return
  server = await startPostgres()
  const admin = await server.connect()
  await admin.query('CREATE DATABASE shop')
  const client = await server.connect('shop')
  await client.query(HOSTILE)
  await admin.query(
    "ALTER DATABASE shop SET search_path = public, pg_catalog; ALTER DATABASE shop SET DateStyle = 'German'",
  )
  await admin.query(
    "ALTER DATABASE shop SET bytea_output = 'escape'; ALTER DATABASE shop SET statement_timeout = '1ms'",
  )
  await admin.query(
    "ALTER DATABASE shop SET standard_conforming_strings = off; ALTER DATABASE shop SET TimeZone = 'Asia/Kolkata'",
  )
}, 120_000)
afterAll(() => server?.[Symbol.asyncDispose]())

describe.skipIf(!hasPostgres)('a hostile database survives its dump and psql', () => {
  test.each([
    ['in a snapshot', 'snapshot', undefined],
    ['table by table', 'table', undefined],
    ['in small blocks', 'table', 20_000],
  ] as const)('%s', async (what, consistency, blockSize) => {
    const to = what.replaceAll(' ', '_')
    const done = await roundTrip(server, 'shop', to, { consistency, ...(blockSize === undefined ? {} : { blockSize }) })
    expect(done.said).toBe('')
    expect(done.lacks).toEqual([])
    expect(await picture(server, to)).toEqual(await picture(server, 'shop'))
    expect(definitions(server, to)).toBe(definitions(server, 'shop'))
  })
})
