import type { Restart } from '../../archive/reader.ts'
import type { LoadSpec } from '../../engine/spec.ts'
import type { StageContext } from '../../engine/stage.ts'
import type { AppendFile } from '../../lib/append-file.ts'
import { START, restoreSpec } from '../restore/slots.ts'

/** Where the load of one database stands. What the database itself says goes before it. */
export type LoadSlot = {
  /** `load`: its files are run. `loaded`: all of them were. `finish`: it is given its name, as all of the job are loaded. */
  phase: 'load' | 'loaded' | 'finish' | 'done'
  /** The connection that has it, by what a process keeps; another one begins with asking the database. */
  instance: string
  /** The file that is under way, and a place between two of its blocks up to which the database holds it. */
  file: number
  at: Restart
  /** CRC of its bytes up to there. */
  crc: number
  /** How far the database had got when it was asked last: file and bytes. */
  reached: { file: number; at: number }
  /** How often it had fallen back: rows that know no transactions are loaded again. */
  losses: number
  /** Bytes of all files before the present one. */
  bytes: number
}

export function loadSlot(ctx: StageContext, index: number): LoadSlot {
  return ctx.slot<LoadSlot>(`load-${index}`, () => ({
    ...{ phase: 'load', instance: '', file: 0, at: START, crc: 0 },
    ...{ reached: { file: 0, at: 0 }, losses: 0, bytes: 0 },
  }))
}

/** From now on databases take their names: the job is not cancelled any more. */
export const notePlacing = (ctx: StageContext): void => void ctx.slot('placing', () => ({}))

/** A file of SQL in the archive, in the order of loading. */
export interface SqlEntry {
  /** Its place in the archive. */
  readonly index: number
  readonly name: string
  readonly size: number
  /** Whose rows it holds; null: definitions. */
  readonly table: string | null
  /** As the manifest has it; null: there is no manifest. */
  readonly digest: string | null
}

export const loadFiles = {
  /** The SQL of one database. */
  entries: (index: number): string => `load-${index}-entries`,
  /** Digests of the blocks of the file that is under way. */
  blocks: (index: number): string => `load-${index}-blocks`,
} as const

export function writeEntry(file: AppendFile, { index, name, size, table, digest }: SqlEntry): void {
  file.write(Buffer.from(`${JSON.stringify([index, name, size, table, digest])}\n`, 'utf8'))
}

export function readEntries(file: AppendFile): SqlEntry[] {
  const lines = file.read(0, file.length).toString('utf8').split('\n').slice(0, -1)
  return lines.map((line) => {
    const [index, name, size, table, digest] = JSON.parse(line) as [
      number,
      string,
      number,
      string | null,
      string | null,
    ]
    return { index, name, size, table, digest }
  })
}

export const databasesToLoad = (ctx: StageContext): readonly LoadSpec[] => restoreSpec(ctx).databases ?? []
