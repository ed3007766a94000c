import type { Command } from 'commander'
import type { JobStatus } from '../../engine/job.ts'
import type { JobKind } from '../../engine/spec.ts'
import type { JobSummary } from '../../engine/services.ts'
import { summaryObject } from '../final.ts'
import * as format from '../format.ts'
import * as parse from '../parse.ts'
import { defined } from '../session.ts'
import type { Session } from '../session.ts'

const KINDS = ['backup', 'restore', 'verify'] as const satisfies readonly JobKind[]
const STATUSES = ['pending', 'running', 'stalled', 'completed', 'failed', 'cancelled', 'timeout'] as const

interface ListOptions {
  kind: JobKind
  status?: JobStatus
  profile?: number
  since?: number
  until?: number
  limit: number
  offset: number
}

export function addList(program: Command, session: Session): void {
  program
    .command('list')
    .alias('ls')
    .summary('list backups')
    .description('Lists backups (or, with --kind, restores and verifications), newest first.')
    .option('--kind <kind>', `${KINDS.join(', ')}`, parse.parseWord(KINDS), 'backup')
    .option('--status <status>', 'only in this state', parse.parseWord(STATUSES))
    .option('--profile <n>', 'only of this profile', parse.parsePositive)
    .option('--since <time>', 'only begun at this time or later, like 2026-06-29 or 2026-06-29T12:00Z', parse.parseTime)
    .option('--until <time>', 'only begun before this time', parse.parseTime)
    .option('--limit <n>', 'at most this many', parse.parsePositive, 50)
    .option('--offset <n>', 'skip this many', parse.parseCount, 0)
    .addHelpText(
      'after',
      '\nExamples:\n  ratchet list\n  ratchet list --kind backup --status completed --limit 10 --json',
    )
    .action((options: ListOptions, command: Command) => list(session, command, options))
}

async function list(session: Session, command: Command, options: ListOptions): Promise<void> {
  await using backend = await session.open(command)
  const { kind, status, profile, since, until, limit, offset } = options
  const { total, jobs } = await backend.list({ ...defined({ status, profile, since, until }), kind, limit, offset })
  if (session.json(command)) {
    for (const job of jobs) session.printJson(summaryObject(job))
    return
  }
  if (jobs.length === 0) return session.print(total === 0 ? `no ${kind}` : `no more than ${total}`)
  session.print(...format.table([HEAD, ...jobs.map(row)], new Set([0, 4, 5])))
  const rest = total - offset - jobs.length
  if (rest > 0) session.print(`… and ${format.count(rest)} older (--offset ${offset + jobs.length})`)
}

const HEAD = ['NUMBER', 'KIND', 'STARTED', 'STATUS', 'FILES', 'SIZE', 'DESCRIPTION']

function row(job: JobSummary): string[] {
  return [
    String(job.number),
    job.kind,
    format.time(job.createdAt),
    job.frozen ? `${job.outcome}, frozen` : job.filesRemoved ? `${job.outcome}, files gone` : job.outcome,
    format.count(job.files),
    format.size(job.kind === 'backup' ? job.size : job.bytes),
    format.printable(job.description).slice(0, 60),
  ]
}
