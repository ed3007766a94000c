import { isMainThread } from 'node:worker_threads'
import { textOf } from './content.ts'
import { workInThread } from './crew.ts'
import { printable } from './names.ts'
import { readOptions, USAGE } from './options.ts'
import { Fatal } from './parts.ts'
import { Run, type Report } from './run.ts'

/** Faults named one by one; beyond them only their number is told. */
const NAMED = 1000

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
  for (const { name, why } of faults.slice(0, NAMED)) process.stderr.write(`${printable(name)}: ${why}\n`)
  if (faults.length > NAMED) process.stderr.write(`and ${faults.length - NAMED} more\n`)
  for (const note of notes) process.stderr.write(`note: ${note}\n`)
  const done = target === null ? 'checked' : `restored to ${target}`
  const but = faults.length === 0 ? '' : `; ${faults.length} not, they are named above`
  process.stdout.write(`${files} files and links, ${bytes} bytes, ${done}${but}\n`)
  return faults.length === 0 ? 0 : 3
}

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2))
  if (options === null) {
    process.stdout.write(USAGE)
    return 0
  }
  return tell(await new Run(options, meter()).run(), options.target)
}

if (isMainThread) {
  main().then(
    (code) => {
      process.exitCode = code
    },
    (error: unknown) => {
      const known = error instanceof Fatal || (error as NodeJS.ErrnoException).code !== undefined
      process.stderr.write(`${known ? textOf(error) : ((error as Error).stack ?? textOf(error))}\n`)
      if (error instanceof Fatal && error.code === 2)
        process.stderr.write('node restore.mjs --help tells how it is used\n')
      process.exitCode = error instanceof Fatal ? error.code : 1
    },
  )
} else workInThread()
