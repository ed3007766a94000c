import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { profilesSchema } from '../../src/settings/profiles-json-schema.ts'
import { BackupError } from '../../src/lib/errors.ts'
import { cli, FakeBackend } from './helpers/fake.ts'

function folder(): string {
  const made = mkdtempSync(path.join(tmpdir(), 'ratchet-cli-profiles-'))
  onTestFinished(() => rmSync(made, { recursive: true }))
  return made
}

it('exports to a new file or to standard output, and imports what it exported', async () => {
  const backend = new FakeBackend()
  const file = path.join(folder(), 'p.json')
  expect((await cli(['profiles', 'export', '3', '-o', file], { backend })).code).toBe(0)
  const document = JSON.parse(readFileSync(file, 'utf8')) as object
  expect(document).toMatchObject({ format: 'ratchet-profile', version: 1, profile: { id: 3, name: 'Default' } })
  expect(JSON.parse((await cli(['profiles', 'export', '3'], { backend })).out)).toEqual(document)
  const again = await cli(['profiles', 'export', '3', '-o', file], { backend })
  expect([again.code, again.err]).toEqual([2, expect.stringContaining('is there already')])
  const said = await cli(['profiles', 'import', file], { backend })
  expect([said.code, said.out]).toEqual([0, 'profile 5 is imported: Default\n'])
  await cli(['profiles', 'import', file, '--as', '9'], { backend })
  await cli(['profiles', 'import', file, '--as', 'new', '--json'], { backend })
  await cli(['profiles', 'import', file, '--force'], { backend })
  expect(backend.saved).toEqual([
    { document, choice: {} },
    { document, choice: { as: 9 } },
    { document, choice: { as: 'new' } },
    { document, choice: { replace: true } },
  ])
})

it('says what is wrong with a file before it asks anybody, and what to do about a number that is taken', async () => {
  const file = path.join(folder(), 'p.json')
  writeFileSync(file, JSON.stringify({ format: 'ratchet-profile', version: 1, profile: { name: 'x', outptu: '/x' } }))
  const bad = await cli(['profiles', 'import', file])
  expect([bad.code, bad.err, bad.reached]).toEqual([1, expect.stringMatching(/profile\.output: .*"outptu"/s), []])
  expect((await cli(['profiles', 'import', file, '--as', 'none'])).code).toBe(2)
  const backend = new FakeBackend()
  backend.profiles.import = () => Promise.reject(new BackupError('PROFILE_EXISTS', 'there is a profile 3'))
  writeFileSync(file, JSON.stringify({ format: 'ratchet-profile', version: 1, profile: { name: 'x', output: '/x' } }))
  const taken = await cli(['profiles', 'import', file], { backend })
  expect([taken.code, taken.err]).toEqual([
    1,
    expect.stringMatching(/there is a profile 3.*--as N, --as new, or --force/s),
  ])
})

it('prints the schema for editors', async () => {
  const file = path.join(folder(), 's.json')
  expect(JSON.parse((await cli(['profiles', 'schema'])).out)).toEqual(profilesSchema())
  await cli(['profiles', 'schema', '-o', file])
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(profilesSchema())
})
