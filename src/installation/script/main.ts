import { isMainThread } from 'node:worker_threads'
import { Damage, textOf } from './content.ts'
import { Stopped, workInThread } from './crew.ts'
import { codeOf } from './faults.ts'
import { printable } from './names.ts'
import { readOptions, USAGE } from './options.ts'
import { Fatal } from './parts.ts'
import { Run, type Report } from './run.ts'

const GOES_ON = 'What is restored so far stays; the same command goes on where it was.\n'

function meter(): (done: number) => void {
  let last = -1
  return (done) => {
    const percent = Math.floor(done * 100)
    if (!process.stderr.isTTY || percent === last) return
    last = percent
    process.stderr.write(`\r${String(percent).padStart(3)} %`)
  }
}

function tell({ files, bytes, faults, notes }: Report, target: string | null): number {
  if (process.stderr.isTTY) process.stderr.write('\r')
  const { named, count } = faults
  for (const { name, why } of named) process.stderr.write(`${printable(name)}: ${why}\n`)
  if (count > named.length) process.stderr.write(`and ${count - named.length} more\n`)
  for (const note of notes) process.stderr.write(`note: ${note}\n`)
  const done = target === null ? 'checked' : `restored to ${target}`
  const all = `${files} files and links, ${bytes} bytes`
  process.stdout.write(
    count === 0 ? `${all}, ${done}\n` : `${done}: of ${all} ${count} not; what is missing or damaged is named above\n`,
  )
  return count === 0 ? 0 : 3
}

/** Ended from outside: with the code that a shell gives for the signal. */
function endOn(signal: 'SIGINT' | 'SIGTERM', code: number, target: string | null): void {
  process.once(signal, () => {
    process.stderr.write(`\ninterrupted. ${target === null ? '\n' : GOES_ON}`)
    process.exit(code)
  })
}

async function main(): Promise<number> {
  let target: string | null = null
  try {
    const options = readOptions(process.argv.slice(2))
    if (options === null) {
      process.stdout.write(USAGE)
      return 0
    }
    target = options.target
    endOn('SIGINT', 130, target)
    endOn('SIGTERM', 143, target)
    return tell(await new Run(options, meter()).run(), target)
  } catch (error) {
    return explain(error, target)
  }
}

/** What ended the run, in words; a stack only where it is a fault of this program. */
function explain(error: unknown, target: string | null): number {
  const refused = error instanceof Fatal && !(error instanceof Stopped) // again, however often it is asked
  const outer = !refused && (error instanceof Stopped || codeOf(error) !== '')
  const known = refused || outer || error instanceof Damage
  process.stderr.write(`${known ? textOf(error) : ((error as Error).stack ?? textOf(error))}\n`)
  const code = error instanceof Fatal ? error.code : 1
  if (code === 2) process.stderr.write('node restore.mjs --help tells how it is used\n')
  else if (outer && target !== null) process.stderr.write(GOES_ON)
  return code
}

if (isMainThread) process.exitCode = await main()
else workInThread()
