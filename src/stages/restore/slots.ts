import type { Restart } from '../../archive/reader.ts'
import type { RestoreSpec } from '../../engine/spec.ts'
import type { StageContext } from '../../engine/stage.ts'
import { BackupError } from '../../lib/errors.ts'

/** A folder we made or found, by the thing itself and not only by name. */
export type Place = { dev: string; ino: string }

/** What the three stages of a restore share. */
export type RestoreSlot = {
  /** Digest over names, sizes and times of the parts: another archive under the same name is not this one (R14). */
  archive: string
  entries: number
  target: Place | null
  staging: (Place & { house: number }) | null
  /** Index of our manifest's entry, or null. */
  manifest: number | null
  /** Whether the work file with the manifest is complete. */
  manifestReady: boolean
  /** The target's file system takes names that differ in case only for one. */
  folded: boolean
  /** Whether any entry repeats the name of an earlier one (work file with their indexes). */
  repeats: boolean
  /** Bytes that have to be free at the target; kept by a dry run. */
  need?: number
}

export type ManifestCopy = { stored: number; plain: number; crc: number }

/** Counting before the first byte is written. */
export type CountSlot = {
  next: number
  files: number
  bytes: number
  /** Room that will be needed at least: content that is mostly zeros becomes holes. */
  need: number
  largest: number
  /** Bucket of names that is compared next. */
  bucket: number
  copy: ManifestCopy | null
}

/** A large file that a safe point has cut in the middle. */
export type OpenFile = Place & {
  index: number
  /** Name in the staging folder. */
  name: string
  stored: number
  plain: number
  crc: number
  /** Complete and proven; what is left is the rename. */
  done: boolean
}

export type ExtractSlot = {
  /** Next entry; everything before it is in place or has been named. */
  next: number
  /** Where its line in the manifest begins, and how many entries had none. */
  line: number
  misses: number
  open: OpenFile | null
  /** Warnings given so far, by kind: their number is bounded. */
  refused: number
  damaged: number
  failed: number
  /** Attributes or owners that could not be set: said once. */
  metadata: number
}

export type FinishSlot = {
  phase: 'hard' | 'links' | 'implied' | 'folders' | 'narrow' | 'clean'
  at: number
  /** Depth that is being worked on in `narrow`. */
  depth: number
  /** The file system takes no second names: said once, and the copies stay. */
  noHardLinks?: true
}

export const RESTORE = 'restore'

export function restoreSlot(ctx: StageContext): RestoreSlot {
  return ctx.slot<RestoreSlot>(RESTORE, () => ({
    archive: '',
    entries: 0,
    target: null,
    staging: null,
    manifest: null,
    manifestReady: false,
    folded: false,
    repeats: false,
  }))
}

export function extractSlot(ctx: StageContext): ExtractSlot {
  return ctx.slot<ExtractSlot>('extract', () => ({
    next: 0,
    line: 0,
    misses: 0,
    open: null,
    refused: 0,
    damaged: 0,
    failed: 0,
    metadata: 0,
  }))
}

export function restoreSpec(ctx: StageContext): RestoreSpec {
  if (ctx.spec.kind !== 'restore') throw new BackupError('INTERNAL', `a restore stage was given a ${ctx.spec.kind} job`)
  return ctx.spec
}

/** Databases whose SQL is put into a server. */
export const loadedNames = ({ databases = [] }: RestoreSpec): ReadonlySet<string> =>
  new Set(databases.map(({ name }) => name))

/** Names of the work files beside the record. */
export const FILES = {
  manifest: 'restore-manifest',
  repeats: 'restore-repeats',
  names: (bucket: number): string => `restore-names-${bucket}`,
  hard: 'restore-hard',
  links: 'restore-links',
  implied: 'restore-implied',
  folders: 'restore-folders',
  narrow: 'restore-narrow',
  previewFolders: 'preview-folders',
  blocks: (index: number): string => `restore-blocks-${index}`,
} as const

export const START: Restart = { stored: 0, plain: 0 }
