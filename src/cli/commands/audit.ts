import type { Command } from 'commander'
import type { AuditEntry } from '../../engine/services.ts'
import { EXIT } from '../exit.ts'
import { printable, table, time } from '../format.ts'
import * as parse from '../parse.ts'
import type { Session } from '../session.ts'

const EXAMPLES = `
The trail says who did what, from where, and how it ended. Each line holds the hash of the one before:
"verify" names the first line that was changed, moved or cut out, and an end that is missing. It prints the
hash of the newest entry; whoever notes that elsewhere can tell later that nothing before it was rewritten.

Examples:
  ratchet audit
  ratchet audit --from 1 --limit 500 --json
  ratchet audit verify`

interface ListOptions {
  from?: number
  limit: number
}

export function addAudit(program: Command, session: Session): void {
  const audit = program
    .command('audit')
    .summary('show and verify the audit trail')
    .description('The audit trail: who did what.')
    .addHelpText('after', EXAMPLES)
  audit
    .command('list', { isDefault: true })
    .description('Shows entries, oldest first.')
    .option('--from <n>', 'first entry wanted (default: the newest ones)', parse.parsePositive)
    .option('--limit <n>', 'at most so many', parse.parseInteger(1, 1000), 50)
    .action((options: ListOptions, command: Command) => list(session, command, options))
  audit
    .command('verify')
    .description('Reads the whole trail; exit code 1 and the first bad line if it was tampered with.')
    .action((_options: object, command: Command) => verify(session, command))
}

async function list(session: Session, command: Command, { from, limit }: ListOptions): Promise<void> {
  await using backend = await session.open(command)
  const { entries } = await backend.accounts.audit(from, limit)
  if (session.json(command)) return entries.forEach((entry) => session.printJson(entry))
  session.print(...table(entries.map(row), new Set([0])))
}

const row = ({ seq, time: at, event, actor, face, address, object, result }: AuditEntry): string[] =>
  [String(seq), time(at), event, actor || '-', `${face} ${address}`.trim() || '-', object || '-', result].map(printable)

async function verify(session: Session, command: Command): Promise<void> {
  await using backend = await session.open(command)
  const verdict = await backend.accounts.verifyAudit()
  if (!verdict.ok) session.exitCode = EXIT.failed
  if (session.json(command)) return session.printJson({ event: 'audit', ...verdict })
  if (verdict.ok) session.print(`the audit trail is whole: ${verdict.entries} entries, head ${verdict.head || 'none'}`)
  else session.print(`the audit trail is NOT whole: ${printable(verdict.reason)}`)
}
