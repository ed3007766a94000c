import fs from 'node:fs'
import os from 'node:os'
import { benchRoot } from './corpus.ts'

/** One line of the table. The key is its first two cells: a later run replaces it. */
export interface Row {
  readonly bench: string
  /** What is compared. */
  readonly what: string
  /** The figures: medians, with the smallest and the largest. */
  readonly figures: string
  readonly result: string
  readonly bar: string
  readonly met: boolean
  readonly command: string
}

const HEAD = ['bench', 'what', 'figures', 'result', 'bar', 'met', 'date', 'command']

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ').trim()

export function line(row: Row, date: string): string {
  const met = row.met ? 'yes' : '**no**'
  const cells = [row.bench, row.what, row.figures, row.result, row.bar, met, date, `\`${row.command}\``]
  return `| ${cells.map(cell).join(' | ')} |`
}

const keyOf = (text: string): string => text.split(' | ', 2).join(' | ').replace(/^\| /, '')

const BEGIN = '<!-- results: begin -->'
const END = '<!-- results: end -->'

/** Puts rows into the table between the two marks of BENCHMARKS.md; rows of benches that did not run stay. */
export function merge(markdown: string, fresh: readonly string[]): string {
  const from = markdown.indexOf(BEGIN)
  const to = markdown.indexOf(END)
  if (from < 0 || to < from) throw new Error(`the page lacks the marks ${BEGIN} and ${END}`)
  const old = markdown
    .slice(from + BEGIN.length, to)
    .split('\n')
    .filter((text) => text.startsWith('| ') && !text.startsWith('| bench |') && !text.startsWith('| ---'))
  const rows = new Map(old.map((text) => [keyOf(text), text]))
  for (const text of fresh) rows.set(keyOf(text), text)
  const head = [`| ${HEAD.join(' | ')} |`, `| ${HEAD.map(() => '---').join(' | ')} |`]
  const table = [...head, ...rows.values()].join('\n')
  return `${markdown.slice(0, from)}${BEGIN}\n\n${table}\n\n${markdown.slice(to)}`
}

/** `2 × AMD EPYC, 24 GB, ext, Linux 6.1, Node 24.21.0` */
export function machine(): string {
  const cpus = os.cpus()
  const memory = `${Math.round(os.totalmem() / 1e9)} GB`
  const kind = FILE_SYSTEMS[fs.statfsSync(fs.existsSync(benchRoot()) ? benchRoot() : os.tmpdir()).type] ?? 'unknown'
  const model = cpus[0]?.model ?? 'unknown processor'
  return `${cpus.length} × ${model}, ${memory}, file system ${kind}, Linux ${os.release()}, Node ${process.versions.node}`
}

/** By the magic numbers of statfs(2). */
const FILE_SYSTEMS: Readonly<Record<number, string>> = {
  0xef53: 'ext4',
  0x58465342: 'xfs',
  0x9123683e: 'btrfs',
  0x01021994: 'tmpfs',
  0x794c7630: 'overlay',
}

export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`
