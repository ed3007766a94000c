import path from 'node:path'
import type { Roots } from '../engine/services.ts'
import type { Disk } from '../lib/disk.ts'
import { BackupError, errnoOf } from '../lib/errors.ts'
import type { RootFolders } from './settings.ts'

type Use = Parameters<Roots['check']>[0]

const FOLDERS: Readonly<Record<Use, keyof RootFolders>> = {
  source: 'sources',
  output: 'outputs',
  restore: 'restores',
  archive: 'archives',
}

/**
 * Paths over the network must lie below a folder that the settings name: after resolving links, and
 * by path segments, since `/data-evil` begins with `/data`. `read`: the folders as they are named now; one that is
 * taken out counts no more, also in a server that runs.
 */
export function createRoots(disk: Disk, read: () => RootFolders): Roots {
  return {
    check(use, given) {
      const resolved = resolve(disk, given)
      if (resolved === null) throw outside(use, given)
      for (const folder of read()[FOLDERS[use]]) {
        const root = resolve(disk, folder)
        if (root !== null && isBelow(root, resolved)) return resolved
      }
      throw outside(use, given)
    },
  }
}

/** What the path means once every link is followed; null when that cannot be said or written down. */
function resolve(disk: Disk, given: string): string | null {
  if (!path.isAbsolute(given) || given.includes('\0') || given.length > 4096) return null
  // `link/..` means the parent of the link's target, which no folding of text can know.
  if (segments(given).includes('..')) return null
  const missing: string[] = []
  for (let at = path.normalize(given); ; at = path.dirname(at)) {
    const real = realOf(disk, at)
    if (real === 'refused') return null
    if (real !== 'missing') return path.join(real.path, ...missing)
    missing.unshift(path.basename(at))
    if (path.dirname(at) === at) return null
  }
}

function realOf(disk: Disk, at: string): { path: string } | 'missing' | 'refused' {
  try {
    const bytes = disk.realpath(at)
    const text = bytes.toString('utf8')
    return Buffer.from(text, 'utf8').equals(bytes) ? { path: text } : 'refused'
  } catch (error) {
    return errnoOf(error) === 'ENOENT' && !isThere(disk, at) ? 'missing' : 'refused'
  }
}

/** A link whose target is missing is there all the same: what is made through it would land elsewhere. */
function isThere(disk: Disk, at: string): boolean {
  try {
    disk.lstat(at)
    return true
  } catch (error) {
    return errnoOf(error) !== 'ENOENT'
  }
}

const segments = (text: string): string[] => text.split(path.sep).filter((s) => s !== '')

/** Whether `inner` is `root` or lies below it, by whole segments. Both are resolved. */
export function isBelow(root: string, inner: string): boolean {
  const outerParts = segments(root)
  const innerParts = segments(inner)
  return outerParts.length <= innerParts.length && outerParts.every((part, i) => part === innerParts[i])
}

function outside(use: Use, given: string): BackupError {
  const shown = given.length > 300 ? `${given.slice(0, 300)}…` : given
  return new BackupError('PATH_OUTSIDE_ROOTS', `${JSON.stringify(shown)} is not below a folder allowed as ${use}`, {
    hint: `Name the folder under roots.${FOLDERS[use]} in the settings file, or choose a path below one named there.`,
    data: { use, path: shown },
  })
}
