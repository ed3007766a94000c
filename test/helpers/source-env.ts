import { realDisk, type Disk } from '../../src/lib/disk.ts'
import type { DirectoryEnv } from '../../src/source/directory.ts'

/** What a source needs, with nothing special about it. */
export function envFor(disk: Disk = realDisk): DirectoryEnv {
  return { disk, own: [], list: null, signal: new AbortController().signal, log: () => {} }
}
