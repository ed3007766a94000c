import fs from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { isEnded } from '../../src/engine/job.ts'
import { realDisk, type Disk } from '../../src/lib/disk.ts'
import { systemError } from '../helpers/break-disk.ts'
import { SpineWorld } from './spine-world.ts'

/** Opening a file of this name fails. */
function failing(name: string, code: string, times = Infinity): Disk {
  let left = times
  return {
    ...realDisk,
    open(file, mode) {
      if (path.basename(String(file)) === name && left-- > 0) throw systemError(code, 'open')
      return realDisk.open(file, mode)
    },
  }
}

describe('what a source answers', () => {
  it.each(['EUCLEAN', 'ENOTCONN', 'ENOKEY', 'EBUSY', 'ENODATA', 'EIO'])('leaves out the file: %s', async (code) => {
    await using world = new SpineWorld()
    world.file('bad', 'b')
    const job = await world.backup(await world.app({ disk: failing('bad', code) }))
    expect([job.status, job.error]).toEqual(['completed', null])
    expect(job.parts[0]?.omitted).toBe(1)
    expect(job.totals.files).toBe(1)
  })

  it('is not what our own disk answers: the manifest is never left out', async () => {
    await using world = new SpineWorld()
    let left = 1
    let manifest = -1
    const disk: Disk = {
      ...realDisk,
      open(file, mode) {
        const fd = realDisk.open(file, mode)
        if (path.basename(String(file)) === 'manifest') manifest = fd
        return fd
      },
      read(fd, into, offset, length, position) {
        if (fd === manifest && left > 0) {
          left--
          throw systemError('EIO', 'read')
        }
        return realDisk.read(fd, into, offset, length, position)
      },
    }
    const app = await world.app({ disk })
    const job = await world.backup(app)
    expect(left).toBe(0)
    expect(job.status).toBe('completed')
    const archive = fs.readFileSync(path.join(world.output, 'site.zip'), 'latin1')
    expect(archive).toContain('installation/manifest.jsonl')
  })

  it('one that vanishes between two steps fails its part, not the run, unless it is critical', async () => {
    await using world = new SpineWorld()
    const other = path.join(world.folder, 'other')
    fs.mkdirSync(other)
    for (let n = 0; n < 30; n++) fs.writeFileSync(path.join(other, `f${n}`), 'x')
    fs.writeFileSync(path.join(other, 'large'), Buffer.alloc(3 << 20, 'y'))
    const sources = [
      { type: 'directory', path: other, xattrs: false, critical: false } as const,
      { type: 'directory', path: world.source, xattrs: false } as const,
    ]
    const app = await world.app()
    let job = await app.engine.start({
      kind: 'backup',
      spec: world.spec({ sources, pacing: { minMs: 0, maxMs: 1, bias: 100 } }),
    })
    while (!isEnded(job) && job.totals.files < 3) job = await app.engine.step(job.number)
    fs.renameSync(other, `${other}-away`)
    const later = await world.app() // another process: nothing is in flight
    for (let n = 0; !isEnded(job) && n < 300; n++) job = await later.engine.step(job.number)
    expect([job.status, job.error]).toEqual(['completed', null])
    expect(job.parts.map(({ status }) => status)).toEqual(['failed', 'completed'])
  })
})
