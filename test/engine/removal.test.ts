import fs from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { codeOf } from '../helpers/bench-job.ts'
import { SpineWorld } from './spine-world.ts'

describe('removing a backup', () => {
  it('never gives its number to another one, whatever the order', async () => {
    await using world = new SpineWorld()
    const app = await world.app()
    for (let n = 0; n < 3; n++) await world.backup(app, { archive: `a${n}` })
    await app.engine.remove(3)
    await app.engine.remove(2)
    const next = await world.backup(app, { archive: 'new' })
    expect(next.number).toBe(4)
    expect(next.spec.kind === 'backup' && next.spec.archive).toBe('new')
  })

  it('leaves a file that is not the one it published', async () => {
    await using world = new SpineWorld()
    const app = await world.app()
    const first = await world.backup(app)
    const file = path.join(world.output, 'site.zip')
    fs.renameSync(file, path.join(world.folder, 'moved.zip'))
    const second = await world.backup(app)
    const bytes = fs.readFileSync(file)
    await app.engine.remove(first.number)
    expect(fs.readFileSync(file).equals(bytes)).toBe(true)
    await app.engine.remove(second.number)
    expect(fs.existsSync(file)).toBe(false)
    expect(fs.existsSync(path.join(world.folder, 'moved.zip'))).toBe(true)
  })

  it('removes its archive also where a copy of it was put back', async () => {
    await using world = new SpineWorld()
    const app = await world.app()
    const job = await world.backup(app)
    const file = path.join(world.output, 'site.zip')
    fs.copyFileSync(file, `${file}.copy`)
    fs.renameSync(`${file}.copy`, file)
    await app.engine.remove(job.number)
    expect(fs.existsSync(file)).toBe(false)
  })
})

describe('removing only the files', () => {
  it('keeps record and log, and says since when and why', async () => {
    await using world = new SpineWorld()
    const app = await world.app()
    const { number } = await world.backup(app)
    const log = await app.engine.log(number)
    await app.engine.remove(number, 'files')
    expect(fs.readdirSync(world.output)).toEqual([])
    const job = await app.engine.get(number)
    expect(job.standing?.filesRemoved).toMatchObject({ by: 'user', reason: 'deleted on request' })
    expect(job.artifacts.count).toBe(1)
    expect(await app.engine.artifacts(number)).toEqual([])
    expect((await app.engine.list()).jobs).toMatchObject([{ number, filesRemoved: { by: 'user' } }])
    expect(await app.engine.log(number)).toEqual(log)
    const restore = app.engine.start({ kind: 'restore', archive: number, target: path.join(world.folder, 'to') })
    expect(await restore.catch(codeOf)).toBe('ARCHIVE_NOT_FOUND')
    // Once more is no error, and another process sees the same.
    await app.engine.remove(number, 'files')
    const other = await world.app()
    expect((await other.engine.list()).jobs).toEqual((await app.engine.list()).jobs)
    await other.engine.remove(number)
    expect((await other.engine.list()).total).toBe(0)
  })

  it('is for finished backups', async () => {
    await using world = new SpineWorld()
    const app = await world.app()
    const { number } = await world.backup(app)
    const verify = await app.engine.start({ kind: 'verify', archive: number })
    expect(await app.engine.remove(verify.number, 'files').catch(codeOf)).toBe('BAD_REQUEST')
    const failed = await world.backup(app, { sources: [{ type: 'directory', path: '/nowhere', critical: true }] })
    expect(failed.status).toBe('failed')
    expect(await app.engine.remove(failed.number, 'files').catch(codeOf)).toBe('ARCHIVE_NOT_FOUND')
    await app.engine.remove(failed.number)
  })
})

describe('removing only the record', () => {
  it('leaves the files where they are', async () => {
    await using world = new SpineWorld()
    const app = await world.app()
    const { number } = await world.backup(app)
    await app.engine.remove(number, 'record')
    expect(fs.readdirSync(world.output)).toEqual(['site.zip'])
    expect(await app.engine.get(number).catch(codeOf)).toBe('JOB_NOT_FOUND')
    const archive = path.join(world.output, 'site.zip')
    expect((await app.engine.start({ kind: 'verify', archive })).status).toBe('completed')
  })
})

describe('a frozen backup', () => {
  it('is deleted by nobody, in no way, until it is unfrozen', async () => {
    await using world = new SpineWorld()
    const app = await world.app()
    const { number } = await world.backup(app)
    expect((await app.engine.freeze(number, true)).standing).toEqual({ frozen: true })
    await app.engine.freeze(number, true)
    expect((await app.engine.list()).jobs).toMatchObject([{ frozen: true }])
    for (const what of ['files', 'record', 'both'] as const)
      expect(await app.engine.remove(number, what).catch(codeOf)).toBe('FROZEN')
    expect(fs.readdirSync(world.output)).toEqual(['site.zip'])
    const other = await world.app()
    expect((await other.engine.freeze(number, false)).standing).toBeUndefined()
    await app.engine.remove(number, 'files')
    expect(await app.engine.freeze(number, true).catch(codeOf)).toBe('ARCHIVE_NOT_FOUND')
  })

  it('must be a finished backup', async () => {
    await using world = new SpineWorld()
    const app = await world.app()
    const { number } = await world.backup(app)
    const verify = await app.engine.start({ kind: 'verify', archive: number })
    expect(await app.engine.freeze(verify.number, true).catch(codeOf)).toBe('BAD_REQUEST')
    const pacing = { minMs: 0, maxMs: 1, bias: 100 }
    const running = await app.engine.start({ kind: 'backup', spec: world.spec({ pacing }) })
    expect(await app.engine.freeze(running.number, true).catch(codeOf)).toBe('JOB_RUNNING')
    await app.engine.cancel(running.number)
    expect(await app.engine.freeze(running.number, true).catch(codeOf)).toBe('ARCHIVE_NOT_FOUND')
  })
})

describe('files that another job is reading', () => {
  it('stay until it has ended, whatever name they are read by', async () => {
    await using world = new SpineWorld()
    const app = await world.app()
    world.file('large', Buffer.alloc(3 << 20, 'x'))
    const { number } = await world.backup(app, { level: 0 })
    fs.symlinkSync(world.output, path.join(world.folder, 'link'))
    const pacing = { minMs: 0, maxMs: 1, bias: 100 }
    for (const archive of [number, path.join(world.folder, 'link', 'site.zip')]) {
      const verify = await app.engine.start({ kind: 'verify', archive, pacing })
      expect(verify.status).toBe('running')
      for (const what of ['files', 'both'] as const)
        expect(await app.engine.remove(number, what).catch(codeOf)).toBe('JOB_RUNNING')
      expect((await app.engine.get(number)).standing).toBeUndefined()
      await app.engine.cancel(verify.number)
    }
    await app.engine.remove(number)
    expect(fs.readdirSync(world.output)).toEqual([])
  })
})

describe('a preview of retention', () => {
  it('says what would go, and why, and changes nothing', async () => {
    await using world = new SpineWorld()
    const app = await world.app()
    for (let n = 0; n < 4; n++) await world.backup(app, { archive: `a${n}` })
    await world.backup(app, { archive: 'other', profile: 2 })
    await app.engine.freeze(1, true)
    await app.engine.remove(2, 'files')
    const { refused, backups, totals } = await app.engine.previewRetention(1, { keepLast: 1 })
    expect(refused).toBeNull()
    expect(backups.map(({ number, keep, reasons }) => [number, keep, reasons])).toEqual([
      [4, true, ['newest', 'last']],
      [3, false, ['superseded']],
      [1, true, ['frozen']],
    ])
    expect(totals.removed).toEqual({ count: 1, bytes: backups[1]?.bytes })
    expect(totals.frozen.count).toBe(1)
    expect(fs.readdirSync(world.output)).toHaveLength(4)
    expect(await app.engine.previewRetention(9, { keepLast: 1 })).toMatchObject({ backups: [], refused: null })
  })
})
