import path from 'node:path'
import type { AuditVerdict } from '../engine/services.ts'
import type { Disk } from '../lib/disk.ts'
import { BackupError } from '../lib/errors.ts'
import { decodeEntry, FIRST_PREV } from './audit-line.ts'
import { trailFile, trailFiles } from './audit-files.ts'
import { linesFrom, withTrail } from './audit-read.ts'
import type { Head } from './audit.ts'

const TRIES = 3

interface Link {
  seq: number
  hash: string
}

/**
 * Reads the whole trail and changes nothing. The first line that was edited, moved, or follows one that is
 * gone is named; so is an end that is not the one the head record knows.
 */
export function verifyTrail(disk: Disk, folder: string, headOf: () => Head | null): AuditVerdict {
  for (let left = TRIES; ; left--) {
    const { verdict, head } = look(disk, folder, headOf)
    // Somebody wrote meanwhile: then head and file were not looked at in one moment.
    if (verdict.ok || left === 0 || look(disk, folder, headOf).head === head) return verdict
  }
}

/** How far the chain goes, in which file and line it was left, and why, if it breaks. */
interface Walked {
  last: Link
  file: string
  lines: number
  reason: string
}

function look(disk: Disk, folder: string, headOf: () => Head | null): { verdict: AuditVerdict; head: string } {
  let head: Head | null
  try {
    head = headOf()
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    return { verdict: { ok: false, entries: 0, file: null, line: null, reason: error.message, head: '' }, head: '' }
  }
  const walked = walkAll(disk, folder)
  const { last, lines, reason } = walked
  const known = head?.entry.hash ?? ''
  const wrong = reason === '' ? endFault(last, head, lines) : `line ${lines} ${reason}`
  const line = wrong === '' ? null : reason === '' ? lines + 1 : lines
  const file = wrong === '' ? null : path.basename(walked.file)
  const where = file === null || file === path.basename(trailFile(folder, 1)) ? '' : `${file}: `
  const verdict = { ok: wrong === '', entries: last.seq, file, line, reason: `${where}${wrong}`, head: known }
  return { verdict, head: known }
}

function walkAll(disk: Disk, folder: string): Walked {
  const before: Walked = { last: { seq: 0, hash: FIRST_PREV }, file: trailFile(folder, 1), lines: 0, reason: '' }
  return trailFiles(disk, folder).reduce((walked, first) => {
    if (walked.reason !== '') return walked
    const file = trailFile(folder, first)
    return withTrail(disk, file, (fd) => ({ file, ...walk(disk, fd, walked.last) })) ?? walked
  }, before)
}

function walk(disk: Disk, fd: number, start: Link): { last: Link; lines: number; reason: string } {
  let last = start
  let lines = 0
  for (const { text, whole } of linesFrom(disk, fd, 0)) {
    lines++
    const entry = decodeEntry(text)
    if (!whole) return { last, lines, reason: 'is torn: the next entry that is written completes it' }
    if (typeof entry === 'string') return { last, lines, reason: entry }
    if (entry.seq !== last.seq + 1)
      return { last, lines, reason: `holds entry ${entry.seq} where ${last.seq + 1} belongs` }
    if (entry.prev !== last.hash) return { last, lines, reason: 'does not follow the line before it' }
    last = { seq: entry.seq, hash: entry.hash }
  }
  return { last, lines, reason: '' }
}

function endFault(last: Link, head: Head | null, lines: number): string {
  if (head === null) return last.seq === 0 ? '' : 'the head record is gone'
  const { seq, hash } = head.entry
  if (seq > last.seq)
    return `line ${lines + 1} is missing: the file ends at entry ${last.seq}, the head record is at ${seq}`
  if (seq < last.seq) return `the head record is at entry ${seq}, the file goes on to ${last.seq}`
  return hash === last.hash ? '' : `the head record names another entry ${seq} than line ${lines}`
}
