import { BackupError, type ErrorRecord } from '../lib/errors.ts'
import type { Consistency, Lack, SqlDump } from './sql-dump.ts'

/** What a backup of a database could promise now, or why there would be none. */
export type Probe =
  | {
      readonly ok: true
      readonly server: string
      readonly consistency: Consistency
      /** Tables whose rows would be in it, with rows and bytes as the server estimates them. */
      readonly tables: number
      readonly rows: number
      readonly bytes: number
      /** Tables without a key to go on by: read in one go, or again from their beginning. */
      readonly keyless: readonly string[]
      /** Tables that are no part of the snapshot. */
      readonly exceptions: readonly Lack[]
      /** What would not be in it. */
      readonly lacks: readonly Lack[]
    }
  | { readonly ok: false; readonly error: ErrorRecord }

/** Names of keyless tables told at most. */
const MOST_NAMES = 100

/** Connects as a backup would, looks at everything but rows, and leaves. */
export async function probe(open: () => Promise<SqlDump>): Promise<Probe> {
  try {
    await using dump = await open()
    const sections = await dump.sections()
    for (const section of sections) {
      if (section.kind !== 'definitions') continue
      // Read to its end: what the account may not see shows on the way.
      for await (const _ of dump.read(section, null, () => Buffer.allocUnsafeSlow(1 << 16))) continue
    }
    const rows = sections.filter(({ kind }) => kind === 'rows')
    const keyless = rows.filter(({ resumable }) => !resumable).map(({ table }) => table ?? '')
    return {
      ok: true,
      server: dump.server,
      consistency: dump.consistency,
      tables: rows.length,
      rows: rows.reduce((sum, { estimate }) => sum + estimate, 0),
      bytes: rows.reduce((sum, { bytes }) => sum + bytes, 0),
      keyless: keyless.slice(0, MOST_NAMES),
      exceptions: dump.exceptions,
      lacks: dump.takeLacks(),
    }
  } catch (error) {
    if (error instanceof BackupError) return { ok: false, error: error.toRecord() }
    throw error
  }
}
