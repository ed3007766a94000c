import type { Disk, DiskPath, OpenMode } from '../../src/lib/disk.ts'
import { systemError } from './memory/errno.ts'
import type { MemoryDisk } from './memory-disk.ts'

const BLOCK = 4096

/** A disk of which one folder is a file system of its own, of limited size. */
export interface QuotaDisk extends Disk {
  /** Bytes in blocks; may be changed at any time. */
  quota: number
  /** Bytes in blocks that are taken, and the most there ever were. */
  readonly used: number
  readonly peak: number
}

export function quotaDisk(inner: MemoryDisk, folder: string, quota: number): QuotaDisk {
  const within = (at: DiskPath): boolean => `${at.toString()}/`.startsWith(`${folder}/`)
  const inside = new Set<number>()
  const state = { quota, peak: 0 }
  const used = (): number => blocksIn(inner, folder)
  const room = (): number => {
    const now = used()
    state.peak = Math.max(state.peak, now)
    return state.quota - now
  }
  const write: Disk['write'] = (fd, bytes, offset, length, position) => {
    if (!inside.has(fd)) return inner.write(fd, bytes, offset, length, position)
    const size = inner.fstat(fd).size
    const has = Math.ceil(size / BLOCK) * BLOCK
    const fits = Math.max(size, has + Math.max(0, Math.floor(room() / BLOCK) * BLOCK)) - position
    const take = Math.min(length, Math.max(0, fits))
    if (take === 0 && length > 0) throw systemError('ENOSPC', 'write')
    const done = inner.write(fd, bytes, offset, take, position)
    room()
    return done
  }
  const disk: Partial<Disk> = {
    open(at: DiskPath, mode: OpenMode): number {
      if (mode === 'create' && within(at) && room() < 0) throw systemError('ENOSPC', 'open', at.toString())
      const fd = inner.open(at, mode)
      if (within(at)) inside.add(fd)
      else inside.delete(fd)
      return fd
    },
    write,
    writeAsync: async (...call) => write(...call),
    mkdir(at, mode) {
      if (within(at) && room() < BLOCK) throw systemError('ENOSPC', 'mkdir', at.toString())
      inner.mkdir(at, mode)
    },
    free: (at) => (within(at) ? Math.max(0, room()) : inner.free(at)),
  }
  return new Proxy(inner, {
    get(_, name) {
      if (name === 'used') return used()
      if (name === 'peak' || name === 'quota') return state[name]
      const method: unknown = Reflect.get(disk, name) ?? Reflect.get(inner, name)
      return typeof method === 'function' ? method.bind(inner) : method
    },
    set(_, name, value) {
      if (name === 'quota') state.quota = value as number
      return name === 'quota'
    },
  }) as unknown as QuotaDisk
}

function blocksIn(disk: MemoryDisk, folder: string): number {
  let sum = 0
  for (const name of disk.readdir(folder)) {
    const at = `${folder}/${name.toString('latin1')}`
    const stat = disk.lstat(at)
    sum += stat.kind === 'dir' ? BLOCK + blocksIn(disk, at) : Math.ceil(stat.size / BLOCK) * BLOCK
  }
  return sum
}
