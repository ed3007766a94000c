import { openAccess, type AccessOptions, type OpenedAccess } from '../../src/access/open.ts'
import type { Origin, Session } from '../../src/engine/services.ts'
import type { Disk } from '../../src/lib/disk.ts'
import { FakeClock } from '../helpers/fake-clock.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'

/** Access on a disk in memory, under a clock that stands still, with passwords that cost nothing. */
export const CHEAP = { memory: 64, passes: 1 }
export const HOST_TOKEN = 'h'.repeat(43)
export const PASSWORD = 'correct horse battery'
export const OTHER = 'staple of another horse'

export const from = (address: string, face = 'http'): Origin => ({ face, address, request: 'r' })
export const HOME = from('192.0.2.1')

export interface AccessWorld extends OpenedAccess {
  readonly clock: FakeClock
  readonly disk: MemoryDisk
}

export function emptyDisk(): MemoryDisk {
  const disk = new MemoryDisk()
  disk.mkdir('/data', 0o700)
  return disk.settle()
}

export function openOn(disk: Disk, clock: FakeClock, options: Partial<AccessOptions> = {}): OpenedAccess {
  const hostToken = (): string => HOST_TOKEN
  return openAccess({ disk, clock, dataDir: '/data', hostToken, passwordCost: CHEAP, ...options })
}

export function world(options: Partial<AccessOptions> = {}): AccessWorld {
  const clock = new FakeClock()
  const disk = emptyDisk()
  return { ...openOn(disk, clock, options), clock, disk }
}

/** A user of this role and a session of it. */
export async function loggedIn(
  w: OpenedAccess,
  name: string,
  role: Session['role'],
): Promise<{ token: string; session: Session }> {
  if (role === 'none') throw new Error('a user has a role')
  await w.accounts.saveUser({ name, role, password: PASSWORD })
  const { token } = await w.accounts.login(HOME, { user: name, password: PASSWORD })
  return { token, session: sessionOf(w, token) }
}

export function sessionOf(w: OpenedAccess, token: string, origin: Origin = HOME): Session {
  const session = w.access.enter(token, origin)
  if (session === null) throw new Error('the token does not count')
  return session
}

export const codeOf = async (work: () => unknown): Promise<string> => {
  try {
    await work()
    return 'ok'
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error)
  }
}
