import type { Command } from 'commander'
import { restoreScript } from '../../installation/script.ts'
import type { Session } from '../session.ts'

/** The same script as in every archive of this release: for an archive whose own cannot be got at. */
export function addScript(program: Command, session: Session): void {
  program
    .command('script')
    .summary('print the script that restores an archive without Ratchet')
    .description(
      'Prints restore.mjs, which lies in every archive too (installation/restore.mjs): it restores archives with nothing but Node 20 or newer.',
    )
    .addHelpText('after', '\nExample:\n  ratchet script > restore.mjs\n  node restore.mjs BACKUP.zip --to FOLDER')
    .action(() => void session.io.stdout.write(restoreScript()))
}
