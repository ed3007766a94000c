import path from 'node:path'
import type { Access, Accounts, Audit, Tickets } from '../engine/services.ts'
import type { Clock } from '../lib/clock.ts'
import type { Disk } from '../lib/disk.ts'
import { removeIfThere } from '../lib/durable-file.ts'
import { asBackupError, errnoOf } from '../lib/errors.ts'
import { AccessControl } from './access.ts'
import { AccountsBook } from './accounts.ts'
import { AccountsFile } from './accounts-file.ts'
import { AuditTrail } from './audit.ts'
import { AttemptGuard, type GuardOptions } from './guard.ts'
import { Passwords, type PasswordCost } from './password.ts'
import { openSetup, setupFile, type SetupToken } from './setup.ts'
import { TicketBook } from './tickets.ts'
import { Traffic, type TrafficLimits } from './traffic.ts'

export interface AccessOptions {
  readonly disk: Disk
  readonly clock: Clock
  readonly dataDir: string
  readonly hostToken: () => string
  readonly traffic?: Partial<TrafficLimits>
  readonly guard?: Omit<GuardOptions, 'clock'>
  readonly passwordCost?: PasswordCost
}

/** Everything about who may do what, put together: one guard, one traffic count, one file, one trail for all faces. */
export interface OpenedAccess {
  readonly access: Access
  readonly accounts: Accounts
  readonly tickets: Tickets
  readonly audit: Audit
  readonly passwords: Passwords
  /** The setup token, made where there are no users. */
  setup(): SetupToken | null
}

export function openAccess(options: AccessOptions): OpenedAccess {
  const { disk, clock, dataDir, hostToken } = options
  const file = new AccountsFile(disk, dataDir)
  for (const folder of ['access', 'audit']) keepPrivate(disk, path.join(dataDir, folder))
  const guard = new AttemptGuard({ clock, ...options.guard })
  const traffic = new Traffic(clock, options.traffic)
  const audit = new AuditTrail(disk, clock, dataDir)
  const passwords = new Passwords(options.passwordCost)
  const access = new AccessControl({ clock, file, guard, traffic, audit, hostToken })
  const onSetUp = (): void => clearSetup(disk, dataDir)
  const accounts = new AccountsBook({ clock, file, guard, traffic, audit, passwords, onSetUp })
  const tickets = new TicketBook({ clock, guard, audit, access })
  return { access, accounts, tickets, audit, passwords, setup: () => openSetup(disk, clock, dataDir, file) }
}

/** The token counts no more; a file that stays is removed by the next start. */
function clearSetup(disk: Disk, dataDir: string): void {
  try {
    removeIfThere(disk, setupFile(dataDir))
  } catch (error) {
    if (errnoOf(error) === undefined) throw error
  }
}

/** A folder that was copied or restored may have become open to others. */
function keepPrivate(disk: Disk, folder: string): void {
  try {
    if ((disk.lstat(folder).mode & 0o077) === 0) return
    const fd = disk.open(folder, 'dir')
    try {
      disk.fchmod(fd, 0o700)
    } finally {
      disk.close(fd)
    }
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw asBackupError(error, `cannot make ${folder} private`, 'STATE_DAMAGED')
  }
}
