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

/** The command line as a process: runs it and sets the exit code. */
export async function start(argv: readonly string[]): Promise<void> {
  silenceExperimental()
  ignoreClosedPipe(process.stdout)
  ignoreClosedPipe(process.stderr)
  process.exitCode = await run(argv, systemIo(openBackend), VERSION)
}
