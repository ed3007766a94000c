import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { realDisk } from '../../src/lib/disk.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import { diskSuite } from '../suites/disk.ts'

diskSuite('real', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'ratchet-disk-'))
  return {
    disk: realDisk,
    folder,
    mkfifo: (at) => void execFileSync('mkfifo', [at]),
    dispose: () => rmSync(folder, { recursive: true, force: true }),
  }
})

diskSuite('memory', () => {
  const disk = new MemoryDisk()
  disk.mkdir('/work', 0o700)
  return { disk, folder: '/work', mkfifo: (at) => disk.mknod(at, 'fifo'), dispose: () => {} }
})
