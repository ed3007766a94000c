import { CommanderError } from 'commander'
import { EXIT } from './exit.ts'
import { errorLines, failureOf, stackOf } from './failure.ts'
import type { Io } from './io.ts'
import { buildProgram } from './program.ts'
import { Session, jsonLine } from './session.ts'

/** Runs one command line (without node and script); returns the exit code. Never throws. */
export async function run(argv: readonly string[], io: Io, version: string): Promise<number> {
  const session = new Session(io)
  try {
    await buildProgram(session, version).parseAsync(argv, { from: 'user' })
    return session.exitCode
  } catch (error) {
    // Help and version come as "errors" too; bare `ratchet` shows the help and is a usage error.
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.complete
    if (error instanceof CommanderError && error.code === 'commander.help') return EXIT.usage
    return tell(error, argv.includes('--json'), io)
  }
}

function tell(error: unknown, json: boolean, io: Io): number {
  const failure = failureOf(error)
  if (io.env['RATCHET_DEBUG']) io.stderr.write(`${stackOf(error)}\n`)
  io.stderr.write(`${errorLines(failure.error).join('\n')}\n`)
  // Programs read stdout: they get the same as the last line, in the shape of a final object without a job.
  if (json) {
    io.stdout.write(`${jsonLine({ event: 'final', status: 'failed', artifacts: [], error: failure.error })}\n`)
  }
  return failure.exitCode
}
