import type { Command } from 'commander'
import type { RetentionPreview, RetentionVerdict } from '../../engine/services.ts'
import * as format from '../format.ts'
import { addKeepOptions, policyOf, type KeepOptions } from '../keep.ts'
import * as parse from '../parse.ts'
import type { Session } from '../session.ts'

const EXAMPLES = `
The policy lies in the profile, under "retention": keepLast, keepHourly, keepDaily, keepWeekly, keepMonthly,
keepYearly, keepWithinDays, maxBytes. Each backup of the profile carries it out at its end: the files of what no
rule keeps are removed, the records stay. The newest complete backup and frozen ones always stay.

Examples:
  ratchet retention 2
  ratchet retention 2 --keep-last 3 --keep-weekly 8     what if`

export function addRetention(program: Command, session: Session): void {
  const command = program
    .command('retention')
    .summary('show which backups would go, and why')
    .description('Shows what the retention policy of a profile, or one given here, would remove now. Changes nothing.')
    .argument('[profile]', 'number of the profile', parse.parsePositive, 1)
  addKeepOptions(command)
    .addHelpText('after', EXAMPLES)
    .action((profile: number, options: KeepOptions, given: Command) => show(session, given, profile, options))
}

async function show(session: Session, command: Command, profile: number, options: KeepOptions): Promise<void> {
  await using backend = await session.open(command)
  const preview = await backend.previewRetention(profile, policyOf(options))
  if (session.json(command)) return printJson(session, preview)
  const { refused, backups, totals } = preview
  if (backups.length > 0) session.print(...format.table([HEAD, ...backups.map(row)], new Set([0, 2])))
  const frozen = totals.frozen.count > 0 ? ` (frozen: ${amount(totals.frozen)})` : ''
  session.print(`stay: ${amount(totals.kept)}${frozen}; go: ${amount(totals.removed)}`)
  if (refused !== null) session.print(`nothing would go: ${refused}`)
}

function printJson(session: Session, { refused, backups, totals }: RetentionPreview): void {
  for (const { time, ...backup } of backups) session.printJson({ ...backup, time: format.iso(time) })
  session.printJson({ event: 'final', refused, totals })
}

const HEAD = ['NUMBER', 'STARTED', 'SIZE', '', 'WHY']

function row({ number, time, bytes, complete, keep, reasons }: RetentionVerdict): string[] {
  const why = [...reasons, ...(complete ? [] : ['(partial)'])].join(' ')
  return [String(number), format.time(time), format.size(bytes), keep ? 'stays' : 'goes', why]
}

const amount = ({ count, bytes }: { count: number; bytes: number }): string =>
  `${format.count(count, 'backup')}, ${format.size(bytes)}`
