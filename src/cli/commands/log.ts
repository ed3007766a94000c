import type { Command } from 'commander'
import type { LogLine } from '../../engine/services.ts'
import * as format from '../format.ts'
import * as parse from '../parse.ts'
import { jsonLine, numberOf } from '../session.ts'
import type { Session } from '../session.ts'

const PAGE = 500

interface LogOptions {
  from: number
  limit: number
}

export function addLog(program: Command, session: Session): void {
  program
    .command('log')
    .summary('print the log of a job')
    .description('Prints the log of a job: what was done, every warning, the error.')
    .argument('<id>', 'number or id of the job', parse.parseRef)
    .option('--from <line>', 'begin at this line', parse.parsePositive, 1)
    .option('--limit <n>', 'at most this many lines', parse.parsePositive, Number.MAX_SAFE_INTEGER)
    .addHelpText('after', '\nExamples:\n  ratchet log 12\n  ratchet log 12 --from 1000 --limit 50')
    .action((ref: parse.JobRef, options: LogOptions, command: Command) => log(session, command, ref, options))
}

async function log(session: Session, command: Command, ref: parse.JobRef, options: LogOptions): Promise<void> {
  await using backend = await session.open(command)
  const number = await numberOf(backend, ref)
  const show = session.json(command) ? jsonText : textLine
  let left = options.limit
  for (let from = options.from; left > 0;) {
    const { lines, next } = await backend.log(number, from, Math.min(PAGE, left))
    if (lines.length === 0) break
    session.print(...lines.map(show))
    left -= lines.length
    from = next
  }
}

const textLine = (line: LogLine): string =>
  `${format.time(line.time)} ${line.level.padEnd(5)} ${format.printable(line.message)}`

const jsonText = ({ line, time, level, message }: LogLine): string =>
  jsonLine({ line, time: format.iso(time), level, message })
