import fs from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import type { ProfileOverrides, Profiles } from '../../src/engine/services.ts'
import type { DatabaseSpec } from '../../src/engine/spec.ts'
import type { Clock } from '../../src/lib/clock.ts'
import { realDisk } from '../../src/lib/disk.ts'
import { expandArchiveName } from '../../src/settings/plan.ts'
import { createProfiles } from '../../src/settings/profiles.ts'
import { failure, temporary } from './temporary.ts'

const clock: Clock = { wall: () => Date.UTC(2026, 5, 29, 12, 10, 45), mono: () => 0, sleep: async () => undefined }

function open(folder = temporary()): { profiles: Profiles; file: string; folder: string } {
  const profiles = createProfiles({ disk: realDisk, clock, folder, host: 'web 01' })
  return { profiles, file: path.join(folder, 'profiles.json'), folder }
}

const site = { name: 'Site', sources: [{ type: 'directory', path: '/srv/site' }], output: '/backups' }

describe('profiles', () => {
  test('profile 1 is there from the start, and says what it lacks when it is started', () => {
    const { profiles, file } = open()
    expect(profiles.list().map((p) => [p.id, p.name, p.sources])).toEqual([[1, 'Default', []]])
    const error = failure(() => profiles.plan(1))
    expect(error.code).toBe('PROFILE_INVALID')
    expect(error.message).toBe('profile 1 ("Default") names no sources')
    expect(fs.existsSync(file)).toBe(false)
  })

  test('saved, read by another process, replaced, removed; an id is never given twice', () => {
    const { profiles, file, folder } = open()
    expect(profiles.save(site)).toMatchObject({ id: 2, level: 6, partSize: 0, pacing: { minMs: 0, bias: 75 } })
    expect(fs.statSync(file).mode & 0o777).toBe(0o600)
    expect(open(folder).profiles.get(2).name).toBe('Site')
    expect(profiles.save({ ...site, id: 2, name: 'Shop', pacing: { maxMs: 9 } }).pacing.maxMs).toBe(9)
    expect(profiles.get(2).name).toBe('Shop')
    profiles.remove(2)
    expect(failure(() => profiles.get(2)).code).toBe('PROFILE_NOT_FOUND')
    expect(failure(() => profiles.remove(2)).code).toBe('PROFILE_NOT_FOUND')
    expect(profiles.save(site).id).toBe(3)
  })

  const bad: Record<string, [unknown, RegExp]> = {
    'not an object': ['x', /expected object/],
    'unknown key': [{ ...site, hooks: ['id'] }, /hooks/],
    'unknown key in a source': [{ ...site, sources: [{ ...site.sources[0], pre: 1 }] }, /pre/],
    'relative source': [{ ...site, sources: [{ type: 'directory', path: 'x' }] }, /sources\.0\.path/],
    'NUL in a path': [{ ...site, output: '/a\0b' }, /output/],
    'half a surrogate pair': [{ ...site, name: '\ud800' }, /name/],
    'archive with a slash': [{ ...site, archive: '../x' }, /archive/],
    'small parts': [{ ...site, partSize: 5 }, /partSize/],
    'level 10': [{ ...site, level: 10 }, /level/],
    'level as text': [{ ...site, level: '6' }, /level/],
    'infinite part': [{ ...site, partSize: Infinity }, /partSize/],
    'label with a slash': [{ ...site, sources: [{ ...site.sources[0], label: 'a/b' }] }, /label/],
    'bias 5': [{ ...site, pacing: { bias: 5 } }, /pacing\.bias/],
  }
  for (const [name, [profile, said]] of Object.entries(bad)) {
    test(`not saved: ${name}`, () => {
      const { profiles, file } = open()
      const error = failure(() => profiles.save(profile))
      expect(error.code).toBe('PROFILE_INVALID')
      expect(error.message).toMatch(said)
      expect(fs.existsSync(file)).toBe(false)
    })
  }

  test('a corrupt entry is named, the others work, saving another keeps it as it is', () => {
    const { profiles, file } = open()
    profiles.save(site)
    const data = JSON.parse(fs.readFileSync(file, 'utf8'))
    data.profiles.push({ id: 7, name: 'Broken', sources: 'oops' })
    fs.writeFileSync(file, JSON.stringify(data))
    expect(failure(() => profiles.list())).toMatchObject({
      code: 'STATE_DAMAGED',
      message: expect.stringMatching(/profiles\.json.*profile 7 \("Broken"\): sources: Invalid input: expected array/),
    })
    expect(failure(() => profiles.get(7)).message).toMatch(/profile 7/)
    expect(profiles.get(2).name).toBe('Site')
    expect(profiles.save(site).id).toBe(8)
    expect(JSON.parse(fs.readFileSync(file, 'utf8')).profiles[2]).toEqual({ id: 7, name: 'Broken', sources: 'oops' })
  })

  for (const content of ['', '{', 'null', '[]', '{"format":1,"profiles":[{"id":1},{"id":1}]}']) {
    test(`a damaged file is not written over: ${content || 'empty'}`, () => {
      const { profiles, file } = open()
      fs.writeFileSync(file, content)
      expect(failure(() => profiles.save(site)).code).toBe('STATE_DAMAGED')
      expect(failure(() => profiles.remove(1)).code).toBe('STATE_DAMAGED')
      expect(fs.readFileSync(file, 'utf8')).toBe(content)
    })
  }

  test('a newer file is refused', () => {
    const { profiles, file } = open()
    fs.writeFileSync(file, '{"format":9}')
    expect(failure(() => profiles.list()).code).toBe('STATE_TOO_NEW')
  })
})

describe('a run of a profile', () => {
  test('overrides, texts and the name of the archive', () => {
    const { profiles } = open()
    profiles.save(site)
    expect(profiles.plan(2, { overrides: { level: 0, pacing: { maxMs: 100 }, partSize: 65_536 } })).toEqual({
      kind: 'backup',
      profile: 2,
      description: 'Backup taken on 2026-06-29 12:10:45',
      comment: '',
      pacing: { minMs: 0, maxMs: 100, bias: 75 },
      sources: site.sources,
      output: '/backups',
      format: 'zip',
      archive: 'web-01-Site-20260629-121045-[number]',
      partSize: 65_536,
      level: 0,
    })
    expect(profiles.plan(2, { overrides: { format: 'jpa', deflate: 'always' } })).toMatchObject({
      format: 'jpa',
      deflate: 'always',
    })
    profiles.save({ ...site, id: 2, format: 'jpa', deflate: 'auto' })
    expect(profiles.get(2)).toMatchObject({ format: 'jpa', deflate: 'auto' })
    expect(profiles.plan(2)).toMatchObject({ format: 'jpa', deflate: 'auto' })
    expect(profiles.plan(2, { description: '', comment: 'c' })).toMatchObject({ description: '', comment: 'c' })
    expect(failure(() => profiles.plan(5)).code).toBe('PROFILE_NOT_FOUND')
  })

  test('of other data than it names is no regular backup of it', () => {
    const { profiles } = open()
    profiles.save(site)
    const sqlite: DatabaseSpec = { type: 'sqlite', path: '/d' }
    const other: ProfileOverrides[] = [{ databases: [sqlite] }, { output: '/elsewhere' }, { type: 'files' }]
    for (const overrides of other) expect(profiles.plan(2, { overrides }).apart).toBe(true)
    const { output, sources } = structuredClone(profiles.get(2))
    for (const overrides of [{}, { level: 1 }, { output, sources }])
      expect(profiles.plan(2, { overrides })).not.toHaveProperty('apart')
  })

  test('archive names hold nothing that leaves the folder', () => {
    const facts = { wall: clock.wall(), host: '../..', number: 12 }
    expect(expandArchiveName('[host]-[profile]-[number]-[other]', { name: '/etc/passwd' }, facts)).toBe(
      'host-etc-passwd-12-[other]',
    )
    expect(expandArchiveName('a[date]', { name: '…' }, facts)).toBe('a20260629')
  })
})
