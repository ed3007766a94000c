import type { Command } from 'commander'
import type { LogLine } from '../../engine/services.ts'
import { LOG_LEVEL_NAMES, type LogLevel } from '../../lib/log-level.ts'
import type { Backend } from '../backend.ts'
import { EXIT } from '../exit.ts'
import * as format from '../format.ts'
import { Interrupt } from '../interrupt.ts'
import * as parse from '../parse.ts'
import { jsonLine, numberOf } from '../session.ts'
import type { Session } from '../session.ts'

const PAGE = 500
/** How often a running job's log is looked at. Milliseconds. */
const LOOK = 500

interface LogOptions {
  from?: number
  tail?: number
  limit?: number
  level: LogLevel
  follow?: true
}

const EXAMPLES = `
Each line names its time, level and message; with --json also step, stage, domain, code and path. Line numbers
stay the same whatever --level leaves out.

Examples:
  ratchet log 12
  ratchet log 12 --level warn
  ratchet log 12 --tail 20 --follow
  ratchet log 12 --from 1000 --limit 50 --json`

export function addLog(program: Command, session: Session): void {
  program
    .command('log')
    .summary('print the log of a job')
    .description('Prints the log of a job: what was done, every warning, the error.')
    .argument('<id>', 'number or id of the job', parse.parseRef)
    .option('--from <line>', 'begin at this line (default: the first)', parse.parsePositive)
    .option('--tail <n>', 'begin so many lines before the end', parse.parsePositive)
    .option('--limit <n>', 'at most this many lines (default: all)', parse.parsePositive)
    .option(
      '--level <level>',
      'only debug, info, warn or error, and graver ones',
      parse.parseWord(LOG_LEVEL_NAMES),
      'debug',
    )
    .option('-f, --follow', 'go on with what is added, until the job has ended')
    .addHelpText('after', EXAMPLES)
    .action((ref: parse.JobRef, options: LogOptions, command: Command) => log(session, command, ref, options))
}

async function log(session: Session, command: Command, ref: parse.JobRef, options: LogOptions): Promise<void> {
  await using backend = await session.open(command)
  using interrupt = new Interrupt(session.io, () => undefined)
  const number = await numberOf(backend, ref)
  const show = session.json(command) ? jsonText : textLine
  const { level } = options
  let { limit: left = Number.MAX_SAFE_INTEGER } = options
  let from = await firstLine(backend, number, options)
  while (left > 0 && !interrupt.requested) {
    // Asked before the log is read: what is written at a job's end must not be missed.
    const ended = options.follow !== true || (await backend.get(number)).ended
    for (;;) {
      const { lines, next, total } = await backend.log(number, { from, limit: Math.min(PAGE, left), level })
      session.print(...lines.map(show))
      left -= lines.length
      from = next
      if (left === 0 || next > total || interrupt.requested) break
    }
    if (ended) return
    await session.io.clock.sleep(LOOK, interrupt.signal)
  }
  if (interrupt.requested) session.exitCode = EXIT.interrupted
}

async function firstLine(backend: Backend, number: number, { from, tail }: LogOptions): Promise<number> {
  if (tail === undefined) return from ?? 1
  const { total } = await backend.log(number, { from: 1, limit: 1 })
  return Math.max(from ?? 1, total - tail + 1)
}

const textLine = ({ line, time, level, message, stack }: LogLine): string => {
  const text = `${time === 0 ? `line ${line}`.padEnd(19) : format.time(time)} ${level.padEnd(5)} ${format.printable(message)}`
  return stack === undefined ? text : [text, ...stack.split('\n').map((at) => `  ${format.printable(at)}`)].join('\n')
}

const jsonText = ({ time, ...line }: LogLine): string => jsonLine({ ...line, time: format.iso(time) })
