import type { Command } from 'commander'
import * as parse from '../parse.ts'
import { numberOf } from '../session.ts'
import type { Session } from '../session.ts'

export function addFreeze(program: Command, session: Session): void {
  const add = (name: string, frozen: boolean, summary: string, description: string): void => {
    program
      .command(name)
      .summary(summary)
      .description(description)
      .argument('<id...>', 'numbers or ids', parse.collectRefs)
      .addHelpText('after', `\nExample:\n  ratchet ${name} 12`)
      .action((refs: parse.JobRef[], _options: object, command: Command) => set(session, command, refs, frozen))
  }
  add('freeze', true, 'protect backups', 'Freezes finished backups: neither people nor retention delete them.')
  add('unfreeze', false, 'give frozen backups free', 'Unfreezes backups: they may be deleted again.')
}

async function set(session: Session, command: Command, refs: parse.JobRef[], frozen: boolean): Promise<void> {
  await using backend = await session.open(command)
  for (const ref of refs) {
    const number = await numberOf(backend, ref)
    await backend.freeze(number, frozen)
    if (session.json(command)) session.printJson({ event: frozen ? 'frozen' : 'unfrozen', number })
    else session.print(`backup ${number} is ${frozen ? 'frozen' : 'no longer frozen'}`)
  }
}
