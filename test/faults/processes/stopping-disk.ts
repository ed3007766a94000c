import { realDisk, type Disk } from '../../../src/lib/disk.ts'
import type { StopAt } from './protocol.ts'

/** Calls after which the disk is another one than before. */
const CHANGING = [
  'write',
  'writeAsync',
  'truncate',
  'datasync',
  'datasyncAsync',
  'fsync',
  'mkdir',
  'rmdir',
  'unlink',
  'rename',
  'link',
]

/** The real disk, on which the whole process stops (SIGSTOP) right before one call, and goes on with it after SIGCONT. */
export function stoppingDisk(stopAt: StopAt | undefined, stopping: () => void): Disk {
  if (stopAt === undefined) return realDisk
  let left = stopAt.n
  const watched = stopAt.call === undefined ? [...CHANGING, 'open'] : [stopAt.call]
  const matches = (args: readonly unknown[]): boolean =>
    stopAt.path === undefined || args.some((arg) => typeof arg === 'string' && arg.includes(stopAt.path ?? ''))
  const wrapped: [string, unknown][] = Object.entries(realDisk).map(([name, call]) => {
    if (!watched.includes(name)) return [name, call]
    return [
      name,
      (...args: unknown[]): unknown => {
        const changes = name !== 'open' || args[1] === 'create'
        if (changes && matches(args) && --left === 0) {
          stopping()
          process.kill(process.pid, 'SIGSTOP')
        }
        return (call as (...all: unknown[]) => unknown)(...args)
      },
    ]
  })
  return Object.fromEntries(wrapped) as unknown as Disk
}
