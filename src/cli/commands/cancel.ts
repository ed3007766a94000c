import type { Command } from 'commander'
import { finalObject } from '../final.ts'
import * as parse from '../parse.ts'
import { numberOf } from '../session.ts'
import type { Session } from '../session.ts'

export function addCancel(program: Command, session: Session): void {
  program
    .command('cancel')
    .summary('end a job for good')
    .description('Cancels a job: it ends for good, and what it wrote so far is removed. An ended job stays as it is.')
    .argument('<id>', 'number or id of the job', parse.parseRef)
    .addHelpText('after', '\nExample:\n  ratchet cancel 12')
    .action((ref: parse.JobRef, _options: object, command: Command) => cancel(session, command, ref))
}

async function cancel(session: Session, command: Command, ref: parse.JobRef): Promise<void> {
  await using backend = await session.open(command)
  const state = await backend.cancel(await numberOf(backend, ref))
  if (session.json(command)) return session.printJson(await finalObject(backend, state))
  session.print(`${state.kind} ${state.number}: ${state.status}`)
}
