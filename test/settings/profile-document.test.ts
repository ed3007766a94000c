import { complaintOf, profileInputSchema } from '../../src/engine/profile-schema.ts'
import fs from 'node:fs'
import path from 'node:path'
import { Ajv } from 'ajv'
import { expect, test } from 'vitest'
import { documentOf, importable, readDocument } from '../../src/engine/profile-document.ts'
import type { Profiles } from '../../src/engine/services.ts'
import { realDisk } from '../../src/lib/disk.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { nearest } from '../../src/lib/nearest.ts'
import { isSecretName } from '../../src/lib/secret-patterns.ts'
import { createProfiles } from '../../src/settings/profiles.ts'
import { profilesSchema } from '../../src/settings/profiles-json-schema.ts'
import { failure, temporary } from './temporary.ts'

const open = (folder = temporary()): Profiles =>
  createProfiles({ disk: realDisk, clock: systemClock, folder, host: 'box' })

const full = {
  id: 7,
  name: 'Shop "1"',
  sources: [
    { type: 'directory', path: '/srv/shop', label: 'shop', critical: true, exclude: ['cache/**'], maxSize: 1000 },
    { type: 'directory', path: '/srv/more', symlinks: 'follow', newerThan: 12, databases: 'raw' },
  ],
  databases: [{ type: 'sqlite', path: '/var/db/app.db', name: 'app', critical: false }],
  type: 'full',
  output: '/backups',
  format: 'jpa',
  archive: 'shop-[date]',
  partSize: 1 << 20,
  level: 3,
  deflate: 'always',
  pacing: { minMs: 1, maxMs: 900, bias: 50 },
}

/** As it comes back from a file. */
const carried = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

test('exported and imported elsewhere it is the same profile, to the letter', () => {
  const here = open()
  const saved = here.save(full)
  expect(saved).toEqual(full)
  const document = carried(documentOf(here.get(7)))
  expect(Object.keys(document as object)).toEqual(['format', 'version', 'profile'])
  const there = open()
  there.save(importable(readDocument(document), {}, there))
  expect(JSON.stringify(there.get(7))).toBe(JSON.stringify(saved))
  expect(carried(documentOf(there.get(7)))).toEqual(document)
})

test('a number that is taken wants a choice', () => {
  const profiles = open()
  profiles.save(full)
  const document = readDocument(carried(documentOf({ ...profiles.get(7), name: 'Other' })))
  expect(failure(() => importable(document, {}, profiles))).toMatchObject({
    code: 'PROFILE_EXISTS',
    message: 'there is a profile 7',
  })
  expect(failure(() => importable(document, { as: 1 }, profiles)).code).toBe('PROFILE_EXISTS')
  expect(importable(document, { as: 9 }, profiles).id).toBe(9)
  expect(importable(document, { as: 'new' }, profiles)).not.toHaveProperty('id')
  expect(profiles.save(importable(document, { as: 'new' }, profiles)).id).toBe(8)
  expect(profiles.save(importable(document, { replace: true }, profiles))).toMatchObject({ id: 7, name: 'Other' })
  expect(profiles.list().map(({ id }) => id)).toEqual([1, 7, 8])
})

const envelope = { format: 'ratchet-profile', version: 1 }
const small = { name: 'Small', output: '/backups' }
const bad: Record<string, [unknown, string, RegExp]> = {
  'no object': [7, 'PROFILE_INVALID', /no exported profile/],
  null: [null, 'PROFILE_INVALID', /no exported profile/],
  'a bare profile': [full, 'PROFILE_INVALID', /no exported profile: its "format" is not/],
  'a newer version': [{ ...envelope, version: 2, profile: small }, 'STATE_TOO_NEW', /version 2/],
  'a version of another kind': [
    { ...envelope, version: '1', profile: small },
    'PROFILE_INVALID',
    /version: .*expected 1/,
  ],
  'no profile': [envelope, 'PROFILE_INVALID', /profile: .*expected object/],
  'an unknown key of the envelope': [{ ...envelope, extra: 1, profile: small }, 'PROFILE_INVALID', /"extra"/],
  'an unknown key of the profile': [
    { ...envelope, profile: { ...small, hook: 1 } },
    'PROFILE_INVALID',
    /profile: .*"hook"/,
  ],
  'a password': [{ ...envelope, profile: { ...small, password: 'x' } }, 'PROFILE_INVALID', /profile: .*"password"/],
  'a wrong value deep inside': [
    { ...envelope, profile: { ...small, sources: [full.sources[0], { type: 'directory', path: 'x' }] } },
    'PROFILE_INVALID',
    /profile\.sources\.1\.path: must be an absolute path/,
  ],
}
test.each(Object.entries(bad))('refused, with the place: %s', (_name, [raw, code, said]) => {
  const error = failure(() => readDocument(raw))
  expect(error.code).toBe(code)
  expect(error.message).toMatch(said)
})

test('no member of a profile holds a secret but the one that is sealed or hidden', () => {
  const names = [...JSON.stringify(profilesSchema()).matchAll(/"([\w$]+)":\{/g)].map(([, name]) => name ?? '')
  expect(names.length).toBeGreaterThan(40)
  // Two say where a password stands; the other two: `profile-secrets.test.ts`.
  const known = ['passwordEnv', 'passwordFile', 'password', 'passwordSealed']
  expect(new Set(names.filter(isSecretName))).toEqual(new Set(known))
})

test('the schema for editors is up to date: else run "ratchet profiles schema -o profiles.schema.json" anew', () => {
  const file = path.join(import.meta.dirname, '../../profiles.schema.json')
  expect(JSON.parse(fs.readFileSync(file, 'utf8'))).toEqual(profilesSchema())
})

test('the schema takes what the store writes and says no to what it refuses', () => {
  const folder = temporary()
  const profiles = open(folder)
  profiles.save(full)
  profiles.save(small)
  const read = (name: string): unknown => JSON.parse(fs.readFileSync(path.join(folder, name), 'utf8'))
  const validate = new Ajv({ strict: false }).compile(read('profiles.schema.json') as object)
  const written = read('profiles.json') as { $schema: string; profiles: Record<string, unknown>[] }
  expect([validate(written), validate.errors]).toEqual([true, null])
  expect(Object.keys(written)).toEqual(['$schema', 'format', 'next', 'profiles'])
  expect(written.$schema).toBe('./profiles.schema.json')
  for (const wrong of [{ level: 10 }, { formt: 'zip' }, { sources: 'x' }, { partSize: 5 }, { pacing: { bias: 5 } }])
    expect(validate({ ...written, profiles: [{ ...written.profiles[1], ...wrong }] })).toBe(false)
})

test('what somebody put as $schema stays, and a schema that cannot be written stops nothing', () => {
  const folder = temporary()
  const profiles = open(folder)
  fs.mkdirSync(path.join(folder, 'profiles.schema.json'))
  profiles.save(small)
  const file = path.join(folder, 'profiles.json')
  const data = JSON.parse(fs.readFileSync(file, 'utf8')) as object
  fs.writeFileSync(file, JSON.stringify({ ...data, $schema: 'https://example.org/mine.json' }))
  profiles.save(small)
  profiles.remove(1)
  expect(JSON.parse(fs.readFileSync(file, 'utf8'))).toMatchObject({ $schema: 'https://example.org/mine.json' })
})

test('a slip in profiles.json: file, profile, key and what was meant', () => {
  const folder = temporary()
  const profiles = open(folder)
  profiles.save(full)
  const file = path.join(folder, 'profiles.json')
  const slip = (change: (profile: Record<string, unknown>) => void): string => {
    const data = JSON.parse(fs.readFileSync(file, 'utf8')) as { profiles: Record<string, unknown>[] }
    const copy = structuredClone(data)
    const profile = copy.profiles[1]
    if (profile !== undefined) change(profile)
    fs.writeFileSync(file, JSON.stringify(copy))
    const { code, message } = failure(() => profiles.list())
    fs.writeFileSync(file, JSON.stringify(data))
    expect([code, message.includes(file)]).toEqual(['STATE_DAMAGED', true])
    return message
  }
  expect(slip((profile) => (profile['sources'] = [{ type: 'directory', path: '/x', exlude: [] }]))).toMatch(
    /profile 7 \("Shop \\"1\\""\): sources\.0: .*"exlude" \(did you mean "exclude"\?\)$/,
  )
  expect(slip((profile) => (profile['format'] = 'tar'))).toMatch(/profile 7 .*: format: .*expected one of "zip"\|"jpa"/)
  expect(slip((profile) => delete profile['id'])).toMatch(/the entry without a valid id \("Shop \\"1\\""\): id: /)
  fs.writeFileSync(file, '{\n  "format": 1,\n  "profiles": [,]\n}')
  expect(failure(() => profiles.list()).message).toMatch(/profiles\.json cannot be understood: .*Unexpected token ','/)
})

test('the nearest word', () => {
  const known = ['exclude', 'include', 'path', 'label', 'excludeFiles']
  expect(['exlude', 'Path', 'lable', 'pat', 'excludefile', 'hook', ''].map((word) => nearest(word, known))).toEqual([
    ...['exclude', 'path', 'label', 'path', 'excludeFiles'],
    ...[null, null],
  ])
})

test('what is missing is called missing', () => {
  const parsed = profileInputSchema.safeParse({ level: 'x' })
  const said = parsed.success ? '' : complaintOf(parsed.error)
  expect(said).toMatch(/name: is missing \(expected string\)/)
  expect(said).toMatch(/level: Invalid input: expected number, received string/)
})
