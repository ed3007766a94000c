import process from 'node:process'
import { openBackend } from './backend/open.ts'
import { systemIo } from './io.ts'
import { VERSION } from '../version.ts'
import { run } from './run.ts'

/** Whoever reads our output may leave early (`| head`): that is no failure of the work. */
function ignoreClosedPipe(stream: NodeJS.WriteStream): void {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })
}

/** node:sqlite is experimental by name in Node 24; that is no news for those who back up. */
function silenceExperimental(): void {
  process.removeAllListeners('warning')
  process.on('warning', (warning) => {
    if (warning.name !== 'ExperimentalWarning') process.stderr.write(`${warning.name}: ${warning.message}\n`)
  })
}

/** A token given as an argument would stand in every list of processes for as long as we run. */
function hideArguments(argv: readonly string[]): void {
  if (argv.some((word) => word.startsWith('--token'))) process.title = 'ratchet'
}

/** The command line as a process: runs it and sets the exit code. */
export async function start(argv: readonly string[]): Promise<void> {
  hideArguments(argv)
  silenceExperimental()
  ignoreClosedPipe(process.stdout)
  ignoreClosedPipe(process.stderr)
  process.exitCode = await run(argv, systemIo(openBackend), VERSION)
}
