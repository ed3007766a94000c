import path from 'node:path'
import type { Command } from 'commander'
import type { Backend } from './backend.ts'
import { EXIT } from './exit.ts'
import { UsageError } from './failure.ts'
import type { ExitCode } from './exit.ts'
import { printable } from './format.ts'
import type { Io } from './io.ts'
import type { JobRef } from './parse.ts'
import { reachOf } from './reach.ts'
import type { ReachOptions } from './reach.ts'

export interface GlobalOptions extends ReachOptions {
  json?: boolean
}

/** One run of the program: what commands share. */
export class Session {
  readonly io: Io
  exitCode: ExitCode = EXIT.complete

  constructor(io: Io) {
    this.io = io
  }

  globals(command: Command): GlobalOptions {
    return command.optsWithGlobals<GlobalOptions>()
  }

  json(command: Command): boolean {
    return this.globals(command).json === true
  }

  /** Opens the backend the options name. To be disposed of before the program ends. `steps`: it is going to step. */
  open(command: Command, { steps = false } = {}): Promise<Backend> {
    return this.io.open(reachOf(this.globals(command), this.io), steps)
  }

  /** Absolute. With --url it is a path of the server's machine. An empty one, most likely an unset variable, is refused. */
  path(text: string): string {
    if (text === '')
      throw new UsageError('an empty path was given', 'Is a variable unset? "." is the folder you are in.')
    return path.resolve(this.io.cwd, text)
  }

  print(...lines: string[]): void {
    for (const line of lines) this.io.stdout.write(`${line}\n`)
  }

  printJson(value: unknown): void {
    this.print(jsonLine(value))
  }
}

export function numberOf(backend: Backend, ref: JobRef): Promise<number> {
  return typeof ref === 'number' ? Promise.resolve(ref) : backend.resolve(ref)
}

/** The object without its undefined members. */
export function defined<T extends object>(value: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(value).filter(([, member]) => member !== undefined)
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> }
}

/** One line of JSON; bidirectional and C1 control characters, which JSON leaves as they are, escaped for terminals. */
export function jsonLine(value: unknown): string {
  return printable(JSON.stringify(value))
}
