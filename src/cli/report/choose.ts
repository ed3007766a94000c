import type { Io } from '../io.ts'
import { BarReporter } from './bar.ts'
import { JsonReporter } from './json.ts'
import { LineReporter } from './lines.ts'
import type { Reporter } from './reporter.ts'

export function reporterFor(io: Io, json: boolean): Reporter {
  if (json) return new JsonReporter(io.stdout)
  if (io.stderr.isTTY && io.env['TERM'] !== 'dumb') return new BarReporter(io.stdout, io.stderr, io.clock)
  return new LineReporter(io.stdout, io.stderr, io.clock)
}
