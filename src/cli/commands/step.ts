import type { Command } from 'commander'
import { exitCodeOf } from '../exit.ts'
import { errorLines } from '../failure.ts'
import { finalLines, finalObject } from '../final.ts'
import { printable } from '../format.ts'
import * as parse from '../parse.ts'
import { pacingOf } from '../run-job.ts'
import { defined, numberOf } from '../session.ts'
import type { Session } from '../session.ts'

interface StepOptions {
  expect?: number
  slice?: number
}

const EXAMPLES = `
Exit code 0: the step is done (JSON "status" says whether more are needed); once the job has ended,
the code of its end. With --expect a step that was already answered gives the recorded answer; any other
number is refused and nothing changes.

Examples:
  ratchet step 12
  ratchet step 12 --expect 7 --slice 500ms`

export function addStep(program: Command, session: Session): void {
  program
    .command('step')
    .summary('do exactly one slice of a job')
    .description('Takes exactly one step of a backup, restore or verification.')
    .argument('<id>', 'number or id of the job', parse.parseRef)
    .option('--expect <n>', 'the number of the step awaited', parse.parsePositive)
    .option('--slice <time>', 'length of this step', parse.parseSlice)
    .addHelpText('after', EXAMPLES)
    .action((ref: parse.JobRef, options: StepOptions, command: Command) => step(session, command, ref, options))
}

async function step(session: Session, command: Command, ref: parse.JobRef, options: StepOptions): Promise<void> {
  await using backend = await session.open(command, { steps: true })
  const pacing = options.slice === undefined ? undefined : pacingOf(options.slice)
  const number = await numberOf(backend, ref)
  const state = await backend.step(number, defined({ expect: options.expect, pacing }))
  const final = await finalObject(backend, state)
  if (state.error !== null) session.io.stderr.write(`${errorLines(state.error).join('\n')}\n`)
  if (state.ended || state.status === 'stalled') session.exitCode = exitCodeOf(state)
  if (session.json(command))
    return session.printJson({ ...final, sleepMs: state.sleepMs, messages: state.warnings.fresh })
  for (const warning of state.warnings.fresh) session.io.stderr.write(`warning: ${printable(warning)}\n`)
  if (state.ended) return session.print(...finalLines(state, final))
  session.print(`step ${state.step} of job ${state.number}: ${state.percent} %, ${printable(state.domain)}`)
}
