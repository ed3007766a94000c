import fs from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import type { App } from '../../src/app.ts'
import { isEnded, type JobView } from '../../src/engine/job.ts'
import type { RestoreRequest, VerifyRequest } from '../../src/engine/services.ts'
import { entityBytes, headerBytes, jpaBytes, readJpaText, type Spec } from '../helpers/jpa-text.ts'
import { SpineWorld } from './spine-world.ts'

async function run(app: App, request: RestoreRequest | VerifyRequest): Promise<JobView> {
  let job = await app.engine.start(request)
  for (let n = 0; !isEnded(job) && n < 200; n++) job = await app.engine.step(job.number)
  return job
}

/** Kind, mode, time in seconds and content of everything below a folder. */
function tree(folder: string): Record<string, string> {
  const found: Record<string, string> = {}
  for (const name of fs.readdirSync(folder, { recursive: true, encoding: 'utf8' }).toSorted()) {
    const file = path.join(folder, name)
    const stat = fs.lstatSync(file)
    const content = stat.isSymbolicLink()
      ? fs.readlinkSync(file)
      : stat.isFile()
        ? fs.readFileSync(file).toString('base64').slice(0, 5000)
        : ''
    found[name] =
      `${stat.mode.toString(8)} ${Math.floor(stat.mtimeMs / 1000)} ${stat.isFile() ? stat.size : ''} ${content}`
  }
  return found
}

function fill(world: SpineWorld): void {
  for (let i = 0; i < 40; i++) world.file(`many/${i % 7}/f${i}.txt`, `file ${i}\n`.repeat(i))
  world.file('large.bin', Buffer.alloc(3_500_000, 'a line that packs well\n'))
  fs.chmodSync(world.file('script.sh', '#!/bin/sh\n'), 0o750)
  fs.utimesSync(world.file('old', 'x'), 1_000_000_000, 1_000_000_000)
  world.file('empty', '')
  fs.mkdirSync(path.join(world.source, 'nothing'))
  fs.symlinkSync('many/1', path.join(world.source, 'to-folder'))
}

const otherDigit = (bytes: Buffer, at: number): void =>
  void bytes.write(bytes.toString('latin1', at, at + 1) === '9' ? '8' : '9', at)

describe('a backup into JPA', () => {
  it.each([0, 65_536, 1_000_000])('verifies and comes back as it was: parts of %d', async (partSize) => {
    await using world = new SpineWorld()
    fill(world)
    const app = await world.app()
    const backup = await world.backup(app, { format: 'jpa', partSize, level: partSize === 65_536 ? 0 : 6 })
    expect([backup.status, backup.error]).toEqual(['completed', null])
    const artifacts = await app.engine.artifacts(backup.number)
    expect(artifacts.at(-1)?.name).toBe('site.jpa')
    expect(artifacts.length > 1).toBe(partSize === 65_536)
    const text = readJpaText(artifacts.map(({ path: file }) => fs.readFileSync(file)))
    expect(text.entities.at(-1)?.name.toString()).toBe('installation/seal.jsonl')
    for (const archive of [backup.number, artifacts.at(-1)?.path ?? '']) {
      const verify = await run(app, { kind: 'verify', archive })
      expect([verify.status, verify.error]).toEqual(['completed', null])
    }
    const target = path.join(world.folder, 'target')
    const restore = await run(app, { kind: 'restore', archive: backup.number, target })
    expect([restore.status, restore.error, restore.warnings.total]).toEqual(['completed', null, 0])
    expect(tree(path.join(target, 'source'))).toEqual(tree(world.source))
    expect(fs.readdirSync(path.join(world.output)).filter((name) => name.startsWith('.'))).toEqual([])
  })

  it('takes another name where a leftover would be read as one of its parts', async () => {
    await using world = new SpineWorld()
    const app = await world.app()
    fs.writeFileSync(path.join(world.output, 'site.j01'), 'left over')
    const one = await world.backup(app, { format: 'jpa' })
    expect((await app.engine.artifacts(one.number)).map(({ name }) => name)).toEqual(['site-2.jpa'])
    world.file('large', Buffer.alloc(150_000, 'x'))
    const split = { format: 'jpa', level: 0, partSize: 65_536 } as const
    const partsOf = async (archive: string): Promise<string[]> => {
      const job = await world.backup(app, { ...split, archive })
      return (await app.engine.artifacts(job.number)).map(({ name }) => name)
    }
    const count = (await partsOf('plain')).length
    expect(count).toBeGreaterThan(3)
    // In the middle of its parts, and behind the last one but for the plain ending.
    for (const number of [2, count - 1, count]) {
      const left = path.join(world.output, `many${number}.j0${number}`)
      fs.writeFileSync(left, 'left over')
      const names = await partsOf(`many${number}`)
      expect([names.length, names.at(-1)]).toEqual([count, `many${number}-2.jpa`])
      expect(fs.readFileSync(left, 'utf8')).toBe('left over')
    }
  })

  it('whose content was changed does not verify, and is not restored in silence', async () => {
    await using world = new SpineWorld()
    world.file('b', 'some text that is not long')
    const app = await world.app()
    const backup = await world.backup(app, { format: 'jpa', level: 0 })
    const [artifact] = await app.engine.artifacts(backup.number)
    const file = artifact?.path ?? ''
    const bytes = fs.readFileSync(file)
    bytes.write('SOME', bytes.indexOf('some text'))
    fs.writeFileSync(file, bytes)
    const verify = await run(app, { kind: 'verify', archive: file })
    expect(verify.error?.message).toContain('source/b')
    const target = path.join(world.folder, 'target')
    const restore = await run(app, { kind: 'restore', archive: file, target })
    expect(restore.warnings.recent.map(({ code }) => code)).toContain('damaged_entry')
    expect(fs.readdirSync(path.join(target, 'source'))).toEqual(['a.txt'])
  })

  it('whose manifest was changed does not verify, and is not believed', async () => {
    await using world = new SpineWorld()
    const app = await world.app()
    const backup = await world.backup(app, { format: 'jpa', level: 0 })
    const [artifact] = await app.engine.artifacts(backup.number)
    const file = artifact?.path ?? ''
    const whole = fs.readFileSync(file)
    const changes: [string, (bytes: Buffer) => void][] = [
      ['a digest in it', (bytes) => void bytes.write('0000', bytes.indexOf('"d":"sha256:') + 12)],
      ['an owner in it', (bytes) => void bytes.write('9', bytes.indexOf('"u":') + 4)],
      [
        'its name',
        (bytes) => void bytes.write('x', bytes.lastIndexOf('installation/manifest.jsonl', bytes.indexOf('{"p"'))),
      ],
      ['its seal', (bytes) => otherDigit(bytes, bytes.lastIndexOf('"d":"sha256:') + 12)],
      ['the name of its seal', (bytes) => void bytes.write('x', bytes.lastIndexOf('installation/seal'))],
      ['the script', (bytes) => void bytes.write('\x01', bytes.indexOf('installation/restore.mjs') + 200)],
      ['the text beside it', (bytes) => void bytes.write('\x01', bytes.indexOf('installation/README.txt') + 200)],
      ['the summary', (bytes) => void bytes.write('9', bytes.indexOf('"number": 1') + 10)],
    ]
    for (const [what, change] of changes) {
      const bytes = Buffer.from(whole)
      change(bytes)
      if (bytes.equals(whole)) throw new Error(`${what} is as it was`)
      fs.writeFileSync(file, bytes)
      const verify = await run(app, { kind: 'verify', archive: file })
      expect(verify.error?.code, what).toBe('VERIFY_FAILED')
      if (what.startsWith('the s') || what.startsWith('the text')) continue
      const restore = await run(app, { kind: 'restore', archive: file, target: path.join(world.folder, what) })
      expect(restore.warnings.recent.map(({ message }) => message).join(), what).toContain('the manifest')
      expect(fs.readFileSync(path.join(world.folder, what, 'source/a.txt'), 'utf8')).toBe('alpha')
    }
  })
})

describe("an archive of somebody else's program", () => {
  const specs: Spec[] = [
    { name: 'site/', type: 0, mode: 0o40750 },
    { name: 'site/index.php', data: Buffer.from('<?php\n'), time: 1_500_000_000 },
    { name: 'site/untimed', data: Buffer.from('x') },
    { name: 'site/cache/', type: 2, mode: 0o40755, data: Buffer.from('index.php') },
    { name: 'installation/README', data: Buffer.from('theirs'), mode: 0o644 },
  ]

  it.each([0, 1, 2, 3])('verifies by its counts, and is restored: 1.%d', async (minor) => {
    await using world = new SpineWorld()
    const app = await world.app()
    const file = path.join(world.output, 'theirs.jpa')
    fs.writeFileSync(file, jpaBytes(specs, { minor }))
    const verify = await run(app, { kind: 'verify', archive: file })
    expect([verify.status, verify.error, verify.warnings.total]).toEqual(['completed', null, 0])
    const target = path.join(world.folder, 'target')
    const restore = await run(app, { kind: 'restore', archive: file, target, skipInstallation: false })
    expect([restore.status, restore.error, restore.warnings.recent]).toEqual(['completed', null, []])
    const now = fs.statSync(world.output).mtimeMs / 1000
    const stat = (name: string): fs.Stats => fs.lstatSync(path.join(target, name))
    expect(stat('site').mode & 0o777).toBe(0o750)
    for (const name of ['site', 'site/untimed', 'site/cache']) {
      expect(Math.abs(stat(name).mtimeMs / 1000 - now), `${name} has no time of its own`).toBeLessThan(600)
    }
    if (minor >= 2) expect(Math.round(stat('site/index.php').mtimeMs)).toBe(1_500_000_000_000)
    expect(fs.readlinkSync(path.join(target, 'site/cache'))).toBe('index.php')
    expect(fs.readFileSync(path.join(target, 'installation/README'), 'utf8')).toBe('theirs')
  })

  it('writes nothing outside the target, whatever names and links it holds', async () => {
    await using world = new SpineWorld()
    const app = await world.app()
    const outside = path.join(world.folder, 'outside')
    fs.mkdirSync(outside)
    const evil = Buffer.from('evil')
    const names = [
      '../evil',
      'site/../../evil',
      '/tmp/ratchet-evil',
      'C:/evil',
      'site\\evil',
      'site//evil',
      'evil\0',
      'site/evil/',
    ]
    const hostile: Spec[] = [
      { name: 'site/', type: 0, mode: 0o40755 },
      ...names.map((name): Spec => ({ name, data: evil })),
      { name: 'site/out', type: 2, data: Buffer.from(outside) },
      { name: 'site/out/evil', data: evil },
      { name: 'site/up/', type: 2, data: Buffer.from('../..') },
      { name: 'site/up/evil', data: evil },
      { name: '../outside/', type: 0, mode: 0o40777 },
      { name: 'site/good', data: Buffer.from('good') },
    ]
    const file = path.join(world.output, 'hostile.jpa')
    fs.writeFileSync(file, jpaBytes(hostile))
    const before = tree(world.folder)
    const target = path.join(world.folder, 'target')
    const job = await run(app, { kind: 'restore', archive: file, target })
    expect(job.warnings.total).toBeGreaterThan(names.length)
    expect(fs.readFileSync(path.join(target, 'site/good'), 'utf8')).toBe('good')
    expect(fs.readdirSync(outside)).toEqual([])
    expect(fs.existsSync('/tmp/ratchet-evil')).toBe(false)
    const ours = (name: string): boolean => !/^(target|data)(\/|$)/.test(name)
    const kept = (found: Record<string, string>): string[] => Object.keys(found).filter(ours)
    expect(kept(tree(world.folder))).toEqual(kept(before))
  })

  it('that lacks its end, a part or its totals does not verify, and comes back only as far as it goes', async () => {
    await using world = new SpineWorld()
    const app = await world.app()
    const whole = jpaBytes(specs)
    const last = entityBytes(specs.at(-1) ?? { name: 'x' }).length
    const unfinished = Buffer.concat([headerBytes([], {}), ...specs.map((spec) => entityBytes(spec))])
    for (const [what, bytes, files] of [
      ['cut off', whole.subarray(0, -last), 3],
      ['unfinished', unfinished, 4],
    ] as const) {
      const file = path.join(world.output, `${what}.jpa`)
      fs.writeFileSync(file, bytes)
      expect((await run(app, { kind: 'verify', archive: file })).error?.code, what).toBe('VERIFY_FAILED')
      const target = path.join(world.folder, what)
      const refused = await run(app, { kind: 'restore', archive: file, target, skipInstallation: false })
      expect(refused.error?.code, what).toBe('ARCHIVE_DAMAGED')
      expect(fs.existsSync(target)).toBe(false)
      const salvage = await run(app, { kind: 'restore', archive: file, target, salvage: true, skipInstallation: false })
      expect(salvage.warnings.total, what).toBeGreaterThan(0)
      const there = fs.readdirSync(target, { recursive: true, withFileTypes: true })
      expect(there.filter((entry) => !entry.isDirectory()).length, what).toBe(files)
    }
  })
})
