import type { CorpusName } from './corpus.ts'
import { costs, flatness } from './flatness.ts'
import { choiceOf } from './places.ts'
import { megabytes, type Row } from './report.ts'
import { stepOverHttp, type Stepped } from './server.ts'
import { median, quantile } from './stats.ts'
import { tireDisk } from './tired-disk.ts'

/** A server stepped over HTTP: how long a step takes, whether it stays so, what memory it needs. */

const RSS_BAR = 200e6
const RSS_BAR_MILLION = 256e6

/** Whether a step answers within its slice, as a client on the same machine sees it. */
export async function steps(): Promise<Row[]> {
  const rows: Row[] = []
  for (const [sliceMs, name] of [
    [1000, '1 s'],
    [100, '100 ms'],
  ] as const) {
    const stepped = await stepOverHttp(choiceOf('mixed', 6, `${sliceMs}ms`, '-http'), sliceMs)
    const all = stepped.steps.map((step) => step.ms)
    const p99 = quantile(all, 0.99)
    const command = `ratchet serve; startBackup, stepBackup with pacing.maxMs ${sliceMs}, level 6, over mixed`
    rows.push({
      bench: 'steps',
      what: `p99 of a step's round trip over HTTP, slice ${name}`,
      figures: `${all.length} steps, median ${median(all).toFixed(0)} ms, longest ${Math.max(...all).toFixed(0)} ms`,
      result: `${p99.toFixed(0)} ms`,
      bar: `≤ ${sliceMs + 150} ms`,
      met: p99 <= sliceMs + 150,
      command,
    })
    rows.push(memoryRow('steps', `server and worker over mixed, slice ${name}`, stepped, RSS_BAR, command))
  }
  return rows
}

function memoryRow(bench: string, what: string, stepped: Stepped, bar: number, command: string): Row {
  return {
    bench,
    what: `peak RSS: ${what}`,
    figures: `${stepped.steps.length} steps, ${stepped.seconds.toFixed(1)} s`,
    result: megabytes(stepped.rss),
    bar: `≤ ${megabytes(bar)}`,
    met: stepped.rss <= bar,
    command,
  }
}

export interface FlatCase {
  readonly bench: string
  readonly corpus: CorpusName
  readonly level: number
  readonly unit: 'entries' | 'bytes'
  readonly per: number
  readonly label: string
  /** It writes more than the disk takes at its first speed. */
  readonly long?: true
}

export async function flat(kind: FlatCase): Promise<Row[]> {
  const alone = kind.long === true ? tireDisk() : []
  const stepped = await stepOverHttp(choiceOf(kind.corpus, kind.level, '200ms', '-flat'), 200)
  const values = costs(stepped.steps, kind.unit, kind.per)
  const { first, last, ratio: growth } = flatness(values)
  const command = `ratchet serve; stepBackup with pacing.maxMs 200, level ${kind.level}, over ${kind.corpus}`
  return [
    {
      bench: kind.bench,
      what: `${kind.label}: median over the last tenth of the packing steps against the first tenth`,
      figures: `${values.length} steps, first ${first.toFixed(2)} ms, last ${last.toFixed(2)} ms${shown(alone)}`,
      result: `${growth.toFixed(3)} ×`,
      bar: '≤ 1.1 ×',
      met: growth <= 1.1,
      command,
    },
    memoryRow(kind.bench, `server and worker over ${kind.corpus}`, stepped, RSS_BAR, command),
  ]
}

const shown = (speeds: readonly number[]): string =>
  speeds.length === 0
    ? ''
    : `; the disk alone before: ${Math.round(speeds[0] ?? 0)} MB/s at first, ${Math.round(speeds.at(-1) ?? 0)} after ${speeds.length} GB`

export async function million(corpus: CorpusName): Promise<Row[]> {
  const stepped = await stepOverHttp(choiceOf(corpus, 6, '1s'), 1000)
  const command = `ratchet serve; stepBackup with pacing.maxMs 1000, level 6, over ${corpus}`
  return [memoryRow(corpus, `server and worker over ${corpus}`, stepped, RSS_BAR_MILLION, command)]
}
