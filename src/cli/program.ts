import { Command } from 'commander'
import { addAudit } from './commands/audit.ts'
import { addBackup } from './commands/backup.ts'
import { addBench } from './commands/bench.ts'
import { addBrowse } from './commands/browse.ts'
import { addCancel } from './commands/cancel.ts'
import { addDelete } from './commands/delete.ts'
import { addDownload } from './commands/download.ts'
import { addFreeze } from './commands/freeze.ts'
import { addList } from './commands/list.ts'
import { addLog } from './commands/log.ts'
import { addProfiles } from './commands/profiles.ts'
import { addRestore } from './commands/restore.ts'
import { addDb } from './commands/db.ts'
import { addRetention } from './commands/retention.ts'
import { addScript } from './commands/script.ts'
import { addServe } from './commands/serve.ts'
import { addShow } from './commands/show.ts'
import { addStep } from './commands/step.ts'
import { addToken } from './commands/token.ts'
import { addUser } from './commands/user.ts'
import { addVerify } from './commands/verify.ts'
import type { Session } from './session.ts'

const EPILOGUE = `
Ratchet works in this process on a data folder (--data), or asks a server (--url).
Environment: RATCHET_URL, RATCHET_TOKEN, RATCHET_DATA stand in for the options; RATCHET_DEBUG=1 shows stacks.
RATCHET_KEY, or the file RATCHET_KEY_FILE, holds the key of stored passwords in place of the file "key" of the data folder.

Exit codes:
  0    complete
  1    failed
  2    wrong use of the command line
  3    complete, but something selected is missing; each gap is named in the warnings
  130  interrupted; the job is kept, --resume goes on

Examples:
  ratchet backup /srv/www --to /backup
  ratchet backup --resume
  ratchet verify 1
  ratchet restore 1 --to /tmp/look
  ratchet serve`

export function buildProgram(session: Session, version: string): Command {
  const program = new Command('ratchet')
  program
    .description('Backups in small steps that survive being killed at any byte.')
    .version(version, '-V, --version', 'print the version')
    .option('--data <dir>', 'data folder: jobs, profiles, settings (default: $XDG_STATE_HOME/ratchet)')
    .option('--url <url>', 'ask the server at this address instead (RATCHET_URL)')
    .option('--token <token>', "the server's access token (better: RATCHET_TOKEN, which no process list shows)")
    .option('--json', 'one JSON object per line on stdout; the last one is the result')
    .helpOption('-h, --help', 'show help')
    .addHelpText('after', EPILOGUE)
    .configureHelp({ showGlobalOptions: true })
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void session.io.stdout.write(text),
      writeErr: (text) => void session.io.stderr.write(text),
      // Errors are told in one place, `run.ts`, with hint and code.
      outputError: () => undefined,
    })
  const add = [addBackup, addStep, addRestore, addVerify, addList, addShow, addLog, addCancel, addDelete]
  const more = [addBrowse, addDownload, addFreeze, addRetention, addProfiles, addDb, addScript]
  const server = [addUser, addToken, addAudit, addBench, addServe]
  for (const one of [...add, ...more, ...server]) one(program, session)
  return program
}
