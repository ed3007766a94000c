import path from 'node:path'
import type { Disk } from '../lib/disk.ts'
import { errnoOf } from '../lib/errors.ts'

/**
 * The trail's files: `audit.jsonl` begins with entry 1, `audit-<n>.jsonl` with entry *n*. They are never renamed,
 * shortened or removed: an old one may be copied away at any time, and has to stay.
 */
export const trailFile = (folder: string, first: number): string =>
  path.join(folder, first === 1 ? 'audit.jsonl' : `audit-${first}.jsonl`)

const NAME = /^audit(?:-([1-9]\d{0,14}))?\.jsonl$/

/** The first entry of each file there is, in their order. */
export function trailFiles(disk: Disk, folder: string): number[] {
  let names: Buffer[]
  try {
    names = disk.readdir(folder)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return []
    throw error
  }
  const firsts = names.flatMap((name) => {
    const match = NAME.exec(name.toString('utf8'))
    return match === null ? [] : [Number(match[1] ?? 1)]
  })
  return firsts.toSorted((a, b) => a - b)
}
