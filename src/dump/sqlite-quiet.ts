import { readFully, writeFully, type Disk } from '../lib/disk.ts'
import { DatabaseFault } from './faults.ts'
import { sideFile, statOf, type CopyOrder, type CopyWorld } from './sqlite-order.ts'

/** Times of files move on by ticks of the kernel: after this long a further write shows. Milliseconds. */
const TICK = 50
const BLOCK = 1 << 20

/**
 * Copies a database that nobody has open, together with the log or journal that a crashed program left beside it:
 * SQLite then mends the copy, while the source stays as it is. That nobody wrote meanwhile is proven by the files
 * themselves, before and after; DATABASE_BUSY if somebody did.
 */
export async function copyQuiet(order: CopyOrder, world: CopyWorld, side: '-wal' | '-journal'): Promise<void> {
  const { disk, clock } = world
  const first = picture(disk, order.path)
  await clock.sleep(TICK)
  const before = picture(disk, order.path)
  if (before !== first) throw changing()
  copyFile(disk, order.path, order.to, (done, total) => world.tell({ phase: 'copy', done, total }))
  const from = sideFile(order.path, side)
  if ((statOf(disk, from)?.size ?? 0) > 0) {
    disk.close(disk.open(order.to + side, 'create'))
    copyFile(disk, from, order.to + side, () => undefined)
  }
  if (picture(disk, order.path) !== before) throw changing()
}

const changing = (): DatabaseFault =>
  new DatabaseFault('DATABASE_BUSY', 'a program keeps writing to it in a way that lets no other one read it')

/** All that would show a write: to the database, or the coming and going of its side files. */
function picture(disk: Disk, path: Buffer): string {
  return ['', '-wal', '-journal']
    .map((suffix) => {
      const stat = statOf(disk, sideFile(path, suffix))
      return stat === null ? 'none' : `${stat.ino}:${stat.size}:${stat.mtimeNs}:${stat.ctimeNs}`
    })
    .join(' ')
}

function copyFile(disk: Disk, from: Buffer, to: string, tell: (done: number, total: number) => void): void {
  const source = disk.open(from, 'read')
  try {
    const target = disk.open(to, 'update')
    try {
      const { size } = disk.fstat(source)
      const block = Buffer.allocUnsafe(BLOCK)
      for (let at = 0; at < size; at += BLOCK) {
        const got = readFully(disk, source, block, Math.min(BLOCK, size - at), at)
        writeFully(disk, target, block.subarray(0, got), at)
        tell(at + got, size)
      }
    } finally {
      disk.close(target)
    }
  } finally {
    disk.close(source)
  }
}
