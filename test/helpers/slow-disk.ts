import type { Disk } from '../../src/lib/disk.ts'

/** A disk on which background writes and syncs take a while, and which remembers handles closed under them. */
export interface SlowDisk {
  readonly disk: Disk
  /** Background writes under way. */
  readonly now: number
  /** Most of them at once. */
  readonly most: number
  /** Descriptors that were closed, synced or cut while a background write on them was under way, or closed while synced. */
  readonly early: readonly string[]
  readonly failed: boolean
  /** Syncs begun. */
  readonly syncs: number
}

export interface SlowFaults {
  /** The background write, 1-based, that fails with ENOSPC once its time has come. */
  readonly write?: number
  /** The sync, 1-based, that fails with EIO once its time has come. */
  readonly sync?: number
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

export function slowDisk(inner: Disk, { write: fail = 0, sync: failSync = 0 }: SlowFaults = {}): SlowDisk {
  const syncing = new Map<number, number>()
  let syncs = 0
  const writing = new Map<number, number>()
  const early: string[] = []
  let [count, now, most] = [0, 0, 0]
  let failed = false
  const add = (fd: number, by: number): void => {
    writing.set(fd, (writing.get(fd) ?? 0) + by)
    now += by
    most = Math.max(most, now)
  }
  const check = (call: string, fd: number): void => {
    if ((writing.get(fd) ?? 0) > 0) early.push(call)
  }
  const writeAsync: Disk['writeAsync'] = async (fd, bytes, offset, length, position) => {
    const number = ++count
    add(fd, 1)
    try {
      for (let i = 0; i < 5; i++) await turn()
      failed ||= number === fail
      if (number === fail) throw Object.assign(new Error('ENOSPC: write'), { code: 'ENOSPC', syscall: 'write' })
      return inner.write(fd, bytes, offset, Math.ceil(length / 2), position)
    } finally {
      add(fd, -1)
    }
  }
  const own: Partial<Disk> = {
    writeAsync,
    close(fd) {
      check('close', fd)
      if ((syncing.get(fd) ?? 0) > 0) early.push('close under sync')
      inner.close(fd)
    },
    truncate(fd, length) {
      check('truncate', fd)
      inner.truncate(fd, length)
    },
    async fsyncAsync(fd) {
      check('fsync', fd)
      const number = ++syncs
      syncing.set(fd, (syncing.get(fd) ?? 0) + 1)
      try {
        for (let i = 0; i < (number % 2 === 1 ? 300 : 10); i++) await turn() // not in order
        failed ||= number === failSync
        if (number === failSync) throw Object.assign(new Error('EIO: fsync'), { code: 'EIO', syscall: 'fsync' })
        await inner.fsyncAsync(fd)
      } finally {
        syncing.set(fd, (syncing.get(fd) ?? 0) - 1)
      }
    },
  }
  const disk = new Proxy(inner, {
    get(_, name) {
      const method: unknown = Reflect.get(own, name) ?? Reflect.get(inner, name)
      return typeof method === 'function' ? method.bind(inner) : method
    },
  })
  return {
    disk,
    early,
    get now() {
      return now
    },
    get failed() {
      return failed
    },
    get syncs() {
      return syncs
    },
    get most() {
      return most
    },
  }
}
