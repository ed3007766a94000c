import fs from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
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
