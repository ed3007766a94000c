import type { Command } from 'commander'
import type { Removable } from '../../engine/services.ts'
import { UsageError } from '../failure.ts'
import * as parse from '../parse.ts'
import { numberOf } from '../session.ts'
import type { Session } from '../session.ts'

interface DeleteOptions {
  filesOnly?: true
  recordOnly?: true
}

export function addDelete(program: Command, session: Session): void {
  program
    .command('delete')
    .alias('rm')
    .summary('remove jobs with their archives')
    .description('Removes jobs: archive, record and log. A job that has not ended is refused; cancel it first.')
    .argument('<id...>', 'numbers or ids', parse.collectRefs)
    .option('--files-only', 'remove the archive and keep the record, which says so')
    .option('--record-only', 'forget the job and leave its archive where it is')
    .addHelpText('after', '\nExample:\n  ratchet delete 12 13')
    .action((refs: parse.JobRef[], options: DeleteOptions, command: Command) =>
      remove(session, command, refs, whatOf(options)),
    )
}

function whatOf({ filesOnly, recordOnly }: DeleteOptions): Removable {
  if (filesOnly && recordOnly)
    throw new UsageError('--files-only and --record-only together mean neither: leave both out')
  return filesOnly ? 'files' : recordOnly ? 'record' : 'both'
}

const DONE: Readonly<Record<Removable, (number: number) => string>> = {
  both: (number) => `job ${number} is deleted`,
  files: (number) => `the files of backup ${number} are deleted; its record stays`,
  record: (number) => `job ${number} is forgotten; its files stay where they are`,
}

async function remove(session: Session, command: Command, refs: parse.JobRef[], what: Removable): Promise<void> {
  await using backend = await session.open(command)
  for (const ref of refs) {
    const number = await numberOf(backend, ref)
    await backend.remove(number, what)
    if (session.json(command)) session.printJson({ event: 'deleted', number, ...(what === 'both' ? {} : { what }) })
    else session.print(DONE[what](number))
  }
}
