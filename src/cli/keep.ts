import type { Command } from 'commander'
import type { RetentionPolicy } from '../engine/spec.ts'
import * as parse from './parse.ts'
import { defined } from './session.ts'

/** The keys of a retention policy, as commander names the options. */
export type KeepOptions = RetentionPolicy

const COUNTS = {
  last: 'the newest so many',
  hourly: 'one of each of so many hours',
  daily: 'one of each of so many days',
  weekly: 'one of each of so many weeks',
  monthly: 'one of each of so many months',
  yearly: 'one of each of so many years',
}

const parseKeep = parse.parseInteger(1, 1_000_000)

/** The options of a retention policy, `--keep-last` and so on. */
export function addKeepOptions(command: Command): Command {
  for (const [unit, what] of Object.entries(COUNTS)) command.option(`--keep-${unit} <n>`, `keep ${what}`, parseKeep)
  return command
    .option('--keep-within-days <n>', 'keep all that are not older', parse.parseInteger(1, 100_000))
    .option('--max-bytes <size>', 'let the oldest go until the rest fits', parse.parseSize)
}

/** Undefined where no option of a policy was given. */
export function policyOf(options: KeepOptions): RetentionPolicy | undefined {
  const { keepLast, keepHourly, keepDaily, keepWeekly, keepMonthly, keepYearly, keepWithinDays, maxBytes } = options
  const counts = { keepLast, keepHourly, keepDaily, keepWeekly, keepMonthly, keepYearly }
  const policy = defined({ ...counts, keepWithinDays, maxBytes })
  return Object.keys(policy).length > 0 ? policy : undefined
}
