import type { AuditVerdict } from '../engine/services.ts'
import type { Disk } from '../lib/disk.ts'
import { BackupError } from '../lib/errors.ts'
import { decodeEntry, FIRST_PREV } from './audit-line.ts'
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
export function verifyTrail(disk: Disk, file: string, headOf: () => Head | null): AuditVerdict {
  for (let left = TRIES; ; left--) {
    const { verdict, head } = look(disk, file, headOf)
    // Somebody wrote meanwhile: then head and file were not looked at in one moment.
    if (verdict.ok || left === 0 || look(disk, file, headOf).head === head) return verdict
  }
}

function look(disk: Disk, file: string, headOf: () => Head | null): { verdict: AuditVerdict; head: string } {
  let head: Head | null
  try {
    head = headOf()
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    return { verdict: { ok: false, entries: 0, line: null, reason: error.message, head: '' }, head: '' }
  }
  const start: Link = { seq: 0, hash: FIRST_PREV }
  const walked = withTrail(disk, file, (fd) => walk(disk, fd, start)) ?? { last: start, lines: 0, reason: '' }
  const { last, lines, reason } = walked
  const known = head?.entry.hash ?? ''
  const wrong = reason === '' ? endFault(last, head, lines) : `line ${lines} ${reason}`
  const line = wrong === '' ? null : reason === '' ? lines + 1 : lines
  return { verdict: { ok: wrong === '', entries: last.seq, line, reason: wrong, head: known }, head: known }
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
