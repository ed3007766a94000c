import type { Command } from 'commander'
import * as parse from '../parse.ts'
import { numberOf } from '../session.ts'
import type { Session } from '../session.ts'

export function addDelete(program: Command, session: Session): void {
  program
    .command('delete')
    .alias('rm')
    .summary('remove jobs with their archives')
    .description('Removes jobs: archive, record and log. A job that has not ended is refused; cancel it first.')
    .argument('<id...>', 'numbers or ids', (text: string, before: parse.JobRef[] | undefined) => [
      ...(before ?? []),
      parse.parseRef(text),
    ])
    .addHelpText('after', '\nExample:\n  ratchet delete 12 13')
    .action((refs: parse.JobRef[], _options: object, command: Command) => remove(session, command, refs))
}

async function remove(session: Session, command: Command, refs: parse.JobRef[]): Promise<void> {
  await using backend = await session.open(command)
  for (const ref of refs) {
    const number = await numberOf(backend, ref)
    await backend.remove(number)
    if (session.json(command)) session.printJson({ event: 'deleted', number })
    else session.print(`job ${number} is deleted`)
  }
}
