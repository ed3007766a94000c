import type { Command } from 'commander'
import type { DatabaseTest } from '../../engine/services.ts'
import { EXIT } from '../exit.ts'
import * as format from '../format.ts'
import * as parse from '../parse.ts'
import type { Session } from '../session.ts'

const EXAMPLES = `
Databases stand in a profile, under "databases"; where a server is, and the password (stored sealed), in the profile
or in settings.json under "databaseServers".

Examples:
  ratchet db test 2
  ratchet db test 2 --database shop
  ratchet db test 2 --json`

export function addDb(program: Command, session: Session): void {
  const command = program
    .command('db')
    .summary('try out the databases of a profile')
    .description('Databases of servers.')
  command
    .command('test')
    .summary('connect, and say what a backup could promise')
    .description(
      'Connects to the databases of a profile as a backup would: version, rights, consistency, size. Reads no rows. Ends with 1 if one could not be backed up, with 3 if something of one would be missing.',
    )
    .argument('[profile]', 'number of the profile', parse.parsePositive, 1)
    .option('--database <name>', 'only this one')
    .addHelpText('after', EXAMPLES)
    .action((profile: number, options: { database?: string }, given: Command) => test(session, given, profile, options))
}

async function test(
  session: Session,
  command: Command,
  profile: number,
  { database }: { database?: string },
): Promise<void> {
  await using backend = await session.open(command)
  const found = await backend.testDatabases(profile, database)
  const ok = found.every((one) => one.ok)
  const whole = found.every(({ lacks }) => lacks.length === 0)
  if (session.json(command)) {
    for (const one of found) session.printJson(one)
    session.printJson({ event: 'final', ok, whole })
  } else for (const one of found) session.print(...linesOf(one).map(format.printable))
  if (!ok) session.exitCode = EXIT.failed
  else if (!whole) session.exitCode = EXIT.gaps
}

function linesOf(test: DatabaseTest): string[] {
  const { name, server, consistency, tables, rows, bytes, error } = test
  if (error !== null) return [`${name}: ${error.message} [${error.code}]`, `  hint: ${error.hint}`]
  const head = [
    `${name}: can be backed up`,
    `  server       ${server ?? ''}`,
    `  consistency  ${consistency === 'snapshot' ? 'snapshot: all tables from one moment' : 'table: each row as it is read'}`,
    `  holds        ${format.count(tables, 'table')}, about ${rows} rows, ${format.size(bytes)}`,
  ]
  const keyless = test.keyless.map((table) => `  no key       ${table}: begun again after an interruption`)
  const beside = test.exceptions.map((one) => `  apart        ${one.name}: ${one.why}`)
  const lacks = test.lacks.map((one) => `  missing      ${one.kind} ${one.name}: ${one.why}`)
  return [...head, ...keyless, ...beside, ...lacks]
}
