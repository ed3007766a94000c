import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { BENCHES } from './benches.ts'
import { line, machine, merge, type Row } from './report.ts'

const USAGE = `npm run bench [-- [--runs N] [--write] NAME…]

Runs the named comparisons (all without a name), one after the other, and prints a table row for
each bar. --write also puts the rows into BENCHMARKS.md. Data lies in $RATCHET_BENCH, by default
below the system's folder for temporary files; corpora are kept for the next run.

${Object.entries(BENCHES)
  .map(([name, bench]) => `  ${name.padEnd(14)}${bench.about}`)
  .join('\n')}`

const PAGE = path.join(import.meta.dirname, '../BENCHMARKS.md')

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { runs: { type: 'string', default: '5' }, write: { type: 'boolean' }, help: { type: 'boolean' } },
  })
  const names = positionals.length > 0 ? positionals : Object.keys(BENCHES)
  const rounds = Number(values.runs)
  if (values.help === true || names.some((name) => BENCHES[name] === undefined) || !(rounds >= 1)) {
    console.error(USAGE)
    return values.help === true ? 0 : 2
  }
  const date = new Date().toISOString().slice(0, 10)
  console.log(`${machine()}, load ${os.loadavg()[0]?.toFixed(1)}, ${date}, ${rounds} runs each\n`)
  let met = true
  for (const name of names) {
    console.error(`${name}: ${BENCHES[name]?.about}`)
    const rows = await attempt(name, rounds)
    tell(rows, date, values.write === true)
    met &&= rows.length > 0 && rows.every((row) => row.met)
  }
  return met ? 0 : 1
}

/** A comparison that cannot be made is told, and the others still run. */
async function attempt(name: string, rounds: number): Promise<Row[]> {
  try {
    return (await BENCHES[name]?.run(rounds)) ?? []
  } catch (error) {
    console.error(`${name} could not be run:`, error)
    return []
  }
}

function tell(rows: readonly Row[], date: string, write: boolean): void {
  const lines = rows.map((row) => line(row, date))
  for (const text of lines) console.log(text)
  if (write) fs.writeFileSync(PAGE, merge(fs.readFileSync(PAGE, 'utf8'), lines))
}

process.exitCode = await main()
