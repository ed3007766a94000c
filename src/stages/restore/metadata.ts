import type { ManifestEntry } from '../../archive/manifest.ts'
import type { ArchiveEntry } from '../../archive/format.ts'
import type { RestoreSpec } from '../../engine/spec.ts'

/** What is set on a restored thing. */
export interface Metadata {
  /** Permission bits. */
  readonly mode: number
  /** Seconds, to be given to utimes: exact to a microsecond. Null: it stays what it is. */
  readonly mtime: number | null
  readonly uid: number | null
  readonly gid: number | null
}

export interface MetadataRules {
  readonly setuid: boolean
  readonly owners: boolean
  readonly root: boolean
}

export function metadataRules(spec: RestoreSpec, root: boolean): MetadataRules {
  return { setuid: spec.setuid && root, owners: spec.owners, root }
}

const SPECIAL = 0o7000
const PLAIN = 0o777

/** Setuid, setgid and sticky bits only when asked for (S-RES-4); owners only when asked for and as root. */
export function metadataOf(entry: ArchiveEntry, line: ManifestEntry | null, rules: MetadataRules): Metadata {
  const stored = line?.mode ?? entry.mode
  const owners = rules.owners && rules.root && line !== null
  return {
    mode: stored & (rules.setuid ? PLAIN | SPECIAL : PLAIN),
    mtime: line !== null ? fromNanoseconds(line.mtimeNs) : entry.mtime === null ? null : fromSeconds(entry.mtime),
    uid: owners ? line.uid : null,
    gid: owners ? line.gid : null,
  }
}

/** Whether bits were taken away that the archive holds. */
export function stripped(entry: ArchiveEntry, line: ManifestEntry | null, rules: MetadataRules): boolean {
  return !rules.setuid && ((line?.mode ?? entry.mode) & SPECIAL) !== 0
}

/**
 * Seconds as the system call wants them. Binary fractions fall short of most microseconds, and what is kept of
 * them is cut off downwards, before 1970 too: a quarter of a microsecond more makes that end at the right one.
 */
export function fromNanoseconds(ns: bigint): number {
  const us = ns / 1000n - (ns < 0n && ns % 1000n !== 0n ? 1n : 0n)
  return (Number(us) + 0.25) / 1e6
}

export function fromSeconds(seconds: number): number {
  if (!Number.isFinite(seconds)) return 0
  return fromNanoseconds(BigInt(Math.round(seconds * 1e6)) * 1000n)
}
