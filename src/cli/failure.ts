import { CommanderError } from 'commander'
import { asBackupError } from '../lib/errors.ts'
import type { ErrorRecord } from '../lib/errors.ts'
import { EXIT } from './exit.ts'
import type { ExitCode } from './exit.ts'
import { printable } from './format.ts'

/** A wrong command line. Exit code 2, told apart from work that failed. */
export class UsageError extends Error {
  readonly hint: string

  constructor(message: string, hint = 'See "ratchet help" or "ratchet <command> --help".') {
    super(message)
    this.name = 'UsageError'
    this.hint = hint
  }
}

export interface Failure {
  readonly exitCode: ExitCode
  readonly error: ErrorRecord
}

function usage(message: string, hint: string): Failure {
  return { exitCode: EXIT.usage, error: { code: 'BAD_REQUEST', message, hint, retry: 'never' } }
}

/** What anything thrown means to the one who typed the command. */
export function failureOf(error: unknown): Failure {
  if (error instanceof UsageError) return usage(error.message, error.hint)
  if (error instanceof CommanderError) {
    return usage(
      error.message.replace(/^error: /, '').replaceAll('\n', ' '),
      'See "ratchet help" or "ratchet <command> --help".',
    )
  }
  const record = asBackupError(error, '').toRecord()
  // What the engine or the server finds malformed came from this command line.
  return { exitCode: record.code === 'BAD_REQUEST' ? EXIT.usage : EXIT.failed, error: record }
}

/** Two lines: what happened to which thing and its code; what to do. Never a stack. */
export function errorLines(error: ErrorRecord): string[] {
  return [`error: ${printable(error.message)} [${error.code}]`, `  hint: ${printable(error.hint)}`]
}

/** For RATCHET_DEBUG: the stack and those of the causes. */
export function stackOf(error: unknown): string {
  const lines: string[] = []
  for (let at: unknown = error; at instanceof Error; at = at.cause) lines.push(at.stack ?? at.message)
  return lines.join('\ncaused by: ')
}
