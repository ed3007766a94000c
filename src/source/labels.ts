import path from 'node:path'
import type { DirectorySource } from '../engine/spec.ts'
import { BackupError } from '../lib/errors.ts'

/** Our own entries lie below this name. */
const RESERVED = 'installation'
const MAX_BYTES = 255
/** What begins like this is a drive to Windows: every reader refuses it (the pattern of `safe-path.ts`). */
const DRIVE = /^([A-Za-z]):/
// eslint-disable-next-line no-control-regex -- control characters have no place in a label
const UNSAFE = /[/\\\u0000-\u001f\u007f]/g

/**
 * The first path component of each source in the archive, in order: the label asked for, or the
 * base name of the path (`root` for `/`). One that is taken gets `-2`, `-3`, …
 * PROFILE_INVALID if a label asked for is not a plain name.
 */
export function labelsFor(sources: readonly Pick<DirectorySource, 'path' | 'label'>[]): string[] {
  const taken = new Set<string>([RESERVED])
  return sources.map((source) => {
    const wanted = source.label === undefined ? defaultLabel(source.path) : checked(source.label)
    const label = firstFree(wanted, taken)
    taken.add(label)
    return label
  })
}

function defaultLabel(sourcePath: string): string {
  const base = path.posix.basename(path.posix.normalize(sourcePath)).replace(UNSAFE, '_').replace(DRIVE, '$1_')
  return base === '' || base === '.' || base === '..' ? 'root' : base
}

function checked(label: string): string {
  const plain = label !== '' && label !== '.' && label !== '..' && label.search(UNSAFE) < 0 && !DRIVE.test(label)
  if (plain && label.isWellFormed() && Buffer.byteLength(label) <= MAX_BYTES) return label
  throw new BackupError('PROFILE_INVALID', `the label ${JSON.stringify(label.slice(0, 80))} is not a plain name`, {
    hint: 'Choose a name without slashes, backslashes, control characters and drive letter, of at most 255 bytes.',
  })
}

function firstFree(wanted: string, taken: ReadonlySet<string>): string {
  let label = wanted
  for (let n = 2; taken.has(label); n++) label = `${wanted}-${n}`
  return label
}
