import type { Command } from 'commander'
import { UsageError } from '../failure.ts'
import * as parse from '../parse.ts'
import { DEFAULT_SLICE_MS, jobToResume, pacingOf, runJob } from '../run-job.ts'
import { numberOf } from '../session.ts'
import type { Session } from '../session.ts'
import { archiveOf } from './restore.ts'

interface VerifyOptions {
  slice?: number
  resume?: true | parse.JobRef
}

type Archive = ReturnType<typeof parse.parseArchive>

const EXAMPLES = `
A backup named by number or id is also compared with the digests its record keeps.

Examples:
  ratchet verify 12
  ratchet verify /backup/site.zip
  ratchet verify --resume`

export function addVerify(program: Command, session: Session): void {
  program
    .command('verify')
    .summary('read a backup back and prove every byte')
    .description('Reads the whole archive, in steps: structure, checksums, and digests against its manifest.')
    .argument('[id|archive]', 'backup or archive', parse.parseArchive)
    .option('--slice <time>', 'length of a step, like 500ms or 2s', parse.parseSlice)
    .option('--resume [id]', 'go on with the newest unfinished verification, or with this one', parse.parseRef)
    .addHelpText('after', EXAMPLES)
    .action((archive: Archive | undefined, options: VerifyOptions, command: Command) =>
      verify(session, command, archive, options),
    )
}

async function verify(
  session: Session,
  command: Command,
  archive: Archive | undefined,
  options: VerifyOptions,
): Promise<void> {
  const { resume, slice } = options
  if (resume !== undefined) {
    if (archive !== undefined) throw new UsageError('--resume goes on with a verification: give no archive')
    return runJob(session, command, {
      begin: async (backend) =>
        jobToResume(backend, 'verify', resume === true ? null : await numberOf(backend, resume)),
      ...(slice === undefined ? {} : { pacing: pacingOf(slice) }),
    })
  }
  if (archive === undefined) throw new UsageError('no backup to verify', 'ratchet verify ID|ARCHIVE')
  await runJob(session, command, {
    begin: async (backend) =>
      backend.start({
        kind: 'verify',
        archive: await archiveOf(backend, session, archive),
        pacing: pacingOf(slice ?? DEFAULT_SLICE_MS),
      }),
  })
}
