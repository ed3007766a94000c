import fs from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { isEnded } from '../../src/engine/job.ts'
import { realDisk, type Disk } from '../../src/lib/disk.ts'
import { systemError } from '../helpers/break-disk.ts'
import { SpineWorld } from './spine-world.ts'

/** Runs `act` just before the first part gets its name. */
function justBefore(act: () => void, how: 'link' | 'rename' = 'link'): Disk {
  let done = false
  return {
    ...realDisk,
    link(from, to) {
      if (!done && String(to).includes('/out/')) {
        done = true
        act()
      }
      if (how === 'rename' && String(to).includes('/out/')) throw systemError('EPERM', 'link')
      realDisk.link(from, to)
    },
  }
}

describe('publishing', () => {
  it('never replaces a file that takes the name at the last moment', async () => {
    await using world = new SpineWorld()
    const other = path.join(world.output, 'site.zip')
    const app = await world.app({ disk: justBefore(() => fs.writeFileSync(other, 'somebody else')) })
    const job = await world.backup(app)
    expect(job.status).toBe('completed')
    expect(fs.readFileSync(other, 'utf8')).toBe('somebody else')
    expect((await app.engine.artifacts(job.number)).map(({ name }) => name)).toEqual(['site-2.zip'])
    expect(fs.readdirSync(world.output).toSorted()).toEqual(['site-2.zip', 'site.zip'])
  })

  it('goes by rename where the file system knows no second names', async () => {
    await using world = new SpineWorld()
    const app = await world.app({ disk: justBefore(() => {}, 'rename') })
    world.file('large', Buffer.alloc(200_000, 'x'))
    const job = await world.backup(app, { partSize: 65_536, level: 0 })
    expect(job.status).toBe('completed')
    const names = fs.readdirSync(world.output)
    expect(names).toContain('site.z03')
    expect(names.every((name) => /^site\.(zip|z\d\d)$/.test(name))).toBe(true)
  })

  it('two jobs with one name end with two archives', async () => {
    await using world = new SpineWorld()
    const app = await world.app()
    const jobs = await Promise.all([1, 2, 3].map(() => world.backup(app)))
    expect(jobs.map(({ status }) => status)).toEqual(['completed', 'completed', 'completed'])
    expect(fs.readdirSync(world.output).toSorted()).toEqual(['site-2.zip', 'site-3.zip', 'site.zip'])
  })

  it('a late owner takes nothing away from the one that went on', async () => {
    await using world = new SpineWorld()
    world.file('large', Buffer.alloc(300_000, 'x'))
    let moved = false
    // The late owner has named its first part when the job's folder is moved by the one that took over.
    const disk: Disk = {
      ...realDisk,
      link(from, to) {
        realDisk.link(from, to)
        if (moved || !String(to).endsWith('.z01')) return
        moved = true
        const folder = path.dirname(String(from))
        fs.renameSync(folder, folder.replace(/-\d+$/, '-999'))
      },
    }
    const app = await world.app({ disk })
    let job = await app.engine.start({ kind: 'backup', spec: world.spec({ partSize: 65_536, level: 0 }) })
    for (let n = 0; !isEnded(job) && n < 20; n++) job = await app.engine.step(job.number)
    expect(moved).toBe(true)
    expect(fs.existsSync(path.join(world.output, 'site.z01'))).toBe(true)
  })

  it('an output folder that cannot be synced for a moment does not end the job', async () => {
    await using world = new SpineWorld()
    let left = 1
    const disk: Disk = {
      ...realDisk,
      open(file, mode) {
        const published = fs.existsSync(path.join(world.output, 'site.zip'))
        if (published && left > 0 && String(file) === `${world.output}/.` && mode === 'dir') {
          left--
          throw systemError('EACCES', 'open')
        }
        return realDisk.open(file, mode)
      },
    }
    const app = await world.app({ disk })
    const job = await world.backup(app)
    expect([left, job.status]).toEqual([0, 'completed'])
  })
})
