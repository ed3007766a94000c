import type { Command } from 'commander'
import { errorLines } from '../failure.ts'
import { finalLines, finalObject } from '../final.ts'
import * as parse from '../parse.ts'
import { numberOf } from '../session.ts'
import type { Session } from '../session.ts'

export function addShow(program: Command, session: Session): void {
  program
    .command('show')
    .summary('show one job')
    .description('Shows a job: state, files with their SHA-256, totals, error.')
    .argument('<id>', 'number or id of the job', parse.parseRef)
    .addHelpText('after', '\nExamples:\n  ratchet show 12\n  ratchet show 12 --json')
    .action((ref: parse.JobRef, _options: object, command: Command) => show(session, command, ref))
}

async function show(session: Session, command: Command, ref: parse.JobRef): Promise<void> {
  await using backend = await session.open(command)
  const state = await backend.get(await numberOf(backend, ref))
  const final = await finalObject(backend, state)
  if (session.json(command)) return session.printJson(final)
  session.print(...finalLines(state, final))
  if (state.error !== null) session.print(...errorLines(state.error).map((line) => `  ${line}`))
}
