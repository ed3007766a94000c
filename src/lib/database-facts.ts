/** What stands in the manifest about a database that was copied consistently. */
export interface DatabaseFacts {
  readonly type: 'sqlite'
  /** All tables are from one moment. */
  readonly consistency: 'snapshot'
  /**
   * `ok`, perhaps with more words; `not checked: …`: tables that need functions which only their own program has;
   * `damaged: …`: what the check found. The copy is as good as the original then.
   */
  readonly integrity: string
  /** Rows by table; null: counting took too long. */
  readonly rows: Readonly<Record<string, number | null>>
  /** Tables in all, should `rows` not name them all. */
  readonly tables: number
  readonly pageSize: number
  readonly pages: number
  readonly encoding: string
  readonly userVersion: number
  readonly applicationId: number
  /** How the original keeps its journal; the copy needs no side files. */
  readonly journal: 'wal' | 'rollback'
}

/** How `integrity` of a damaged database begins. */
export const DAMAGED = 'damaged: '

/** What is wrong with the database itself, or null. */
export const damageOf = (facts: DatabaseFacts | null): string | null =>
  facts?.integrity.startsWith(DAMAGED) === true ? facts.integrity.slice(DAMAGED.length) : null

const NUMBERS = ['tables', 'pageSize', 'pages', 'userVersion', 'applicationId'] as const

/** The facts in a piece of JSON that others may have written, or null if they are none. */
export function databaseFacts(raw: unknown): DatabaseFacts | null {
  if (!isRecord(raw) || raw['type'] !== 'sqlite' || raw['consistency'] !== 'snapshot') return null
  const { integrity, encoding, journal, rows } = raw
  if (typeof integrity !== 'string' || typeof encoding !== 'string') return null
  if (journal !== 'wal' && journal !== 'rollback') return null
  if (!NUMBERS.every((key) => Number.isSafeInteger(raw[key])) || !isRecord(rows)) return null
  const counted: Record<string, number | null> = Object.create(null) as Record<string, number | null>
  for (const [name, count] of Object.entries(rows)) {
    if (count !== null && !(typeof count === 'number' && Number.isSafeInteger(count) && count >= 0)) return null
    counted[name] = count
  }
  const [tables = 0, pageSize = 0, pages = 0, userVersion = 0, applicationId = 0] = NUMBERS.map((key) =>
    Number(raw[key]),
  )
  const numbers = { tables, pageSize, pages, userVersion, applicationId }
  return { type: 'sqlite', consistency: 'snapshot', integrity, rows: counted, ...numbers, encoding, journal }
}

const isRecord = (raw: unknown): raw is Record<string, unknown> =>
  typeof raw === 'object' && raw !== null && !Array.isArray(raw)
