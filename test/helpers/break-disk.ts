import path from 'node:path'
import { realDisk, type Disk, type DiskPath, type FileStat } from '../../src/lib/disk.ts'

type Fault = string | ((stat: FileStat) => FileStat)

export interface Faults {
  /** By base name: an error code, or another stat. */
  readonly lstat?: Readonly<Record<string, Fault>>
  /** By base name: an error code. */
  readonly open?: Readonly<Record<string, string>>
  /** Reading a folder fails after so many names. */
  readonly next?: { readonly after: number; readonly error: string }
}

export function systemError(code: string, syscall = 'lstat'): Error {
  return Object.assign(new Error(`${code}: ${syscall}`), { code, syscall })
}

/** The real disk with faults at chosen names. */
export function breakDisk(faults: Faults): Disk {
  const base = (at: DiskPath): string => path.basename(at.toString())
  return {
    ...realDisk,
    lstat(at) {
      const fault = faults.lstat?.[base(at)]
      if (typeof fault === 'string') throw systemError(fault)
      const stat = realDisk.lstat(at)
      return fault === undefined ? stat : fault(stat)
    },
    open(at, mode) {
      const fault = faults.open?.[base(at)]
      if (fault !== undefined) throw systemError(fault, 'open')
      return realDisk.open(at, mode)
    },
    opendir(at) {
      const reader = realDisk.opendir(at)
      let left = faults.next?.after ?? Infinity
      return {
        next() {
          if (left-- <= 0) throw systemError(faults.next?.error ?? 'EIO', 'scandir')
          return reader.next()
        },
        close: () => reader.close(),
      }
    },
  }
}
