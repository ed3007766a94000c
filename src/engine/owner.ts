import { randomBytes } from 'node:crypto'
import os from 'node:os'
import { readFileIfThere } from '../lib/durable-file.ts'
import { errnoOf } from '../lib/errors.ts'
import type { Disk } from '../lib/disk.ts'

/** Who holds a job, and whether that one can be proved dead. */
export interface ProcessTable {
  /** `host|boot|pid|start|nonce`: names this engine in this process for ever. */
  readonly self: string
  /** The boot id alone: monotonic times of the same boot can be compared. */
  readonly boot: string
  /** `ours`: this engine. `gone`: proved dead. `unknown`: alive, or on another host. */
  state(owner: string): 'ours' | 'gone' | 'unknown'
}

/** Start time of a process in clock ticks since boot (field 22 of its stat), or null where that cannot be had. */
function startOf(disk: Disk, pid: number): string | null {
  const stat = tryRead(disk, `/proc/${pid}/stat`)
  if (stat === null) return null
  // The command name (field 2) may hold spaces and parentheses: count from the last one.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null
}

/** Files under /proc say size 0: read until the end. */
function tryRead(disk: Disk, path: string): string | null {
  try {
    const fd = disk.open(path, 'read')
    try {
      const buffer = Buffer.alloc(4096)
      return buffer.subarray(0, disk.read(fd, buffer, 0, buffer.length, 0)).toString('utf8')
    } finally {
      disk.close(fd)
    }
  } catch (error) {
    if (errnoOf(error) === undefined) throw error
    return null
  }
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return errnoOf(error) === 'EPERM'
  }
}

function namespace(disk: Disk): string {
  try {
    // Containers of one host share its boot id but not their process ids.
    return disk.readlink('/proc/self/ns/pid').toString('utf8').replace(/\D/g, '')
  } catch (error) {
    if (errnoOf(error) === undefined) throw error
    return ''
  }
}

/** The process table of this machine. `nonce` is shared between an engine and its worker threads. */
export function systemProcesses(disk: Disk, nonce: string = randomBytes(6).toString('hex')): ProcessTable {
  const host = `${os.hostname()}/${namespace(disk)}`
  const boot = (
    tryRead(disk, '/proc/sys/kernel/random/boot_id') ??
    readFileIfThere(disk, '/etc/machine-id')?.toString() ??
    ''
  ).trim()
  const start = startOf(disk, process.pid) ?? ''
  const self = [host, boot, process.pid, start, nonce].join('|')
  return {
    self,
    boot,
    state(owner) {
      if (owner === self) return 'ours'
      const [theirHost, theirBoot, theirPid, theirStart] = owner.split('|')
      if (theirHost !== host || boot === '') return 'unknown'
      if (theirBoot !== boot) return 'gone' // this host has been restarted since
      const pid = Number(theirPid)
      if (!alive(pid)) return 'gone'
      const now = startOf(disk, pid)
      return now !== null && theirStart !== '' && now !== theirStart ? 'gone' : 'unknown'
    },
  }
}
