import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { interleave } from './measure.ts'
import { backupCommand, choiceOf, clear, dataOf, outputOf, RATCHET, sizeOf } from './places.ts'
import { megabytes, type Row } from './report.ts'
import { median, spread } from './stats.ts'

interface LogLine {
  readonly time: string
  readonly message: string
}

const BAR = 8

/**
 * Seconds that the pack domain of the only job took, by the job's own log: from the end of what came before it to
 * its own end.
 */
function packing(data: string): number {
  const [node, program] = RATCHET
  const text = execFileSync(node, [program, '--json', '--data', data, 'log', '1'], { encoding: 'utf8' })
  const lines = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as LogLine)
  const ended = lines.findIndex(({ message }) => message === 'pack done')
  const begun = lines.slice(0, Math.max(0, ended)).findLast(({ message }) => message.endsWith(' done'))
  const end = lines[ended]
  if (begun === undefined || end === undefined) throw new Error(`the log does not say how long packing took:\n${text}`)
  return (Date.parse(end.time) - Date.parse(begun.time)) / 1000
}

/** Files of this size and more are stored. Bytes. */
const STORED_FROM = 1 << 20

/** JPA with large files stored, against `zip -r -6`, which has no such choice: the packing alone. */
export async function jpa(rounds: number): Promise<Row[]> {
  const choice = { ...choiceOf('mixed', 6, '2s', '-jpa'), format: 'jpa' as const, deflate: STORED_FROM - 1 }
  const theirs = path.join(choice.work, 'theirs.zip')
  const packed: number[] = []
  const sizes = { ours: 0, theirs: 0 }
  const [ours, zip] = await interleave(
    [
      {
        name: 'ratchet jpa',
        command: { argv: backupCommand(choice) },
        prepare: () => clear(choice),
        check: () => {
          packed.push(packing(dataOf(choice)))
          sizes.ours = sizeOf(outputOf(choice))
        },
      },
      {
        name: 'zip -r -6',
        command: { argv: ['zip', '-q', '-r', '-6', theirs, '.'], cwd: choice.source },
        prepare: () => fs.rmSync(theirs, { force: true }),
        check: () => void (sizes.theirs = fs.statSync(theirs).size),
      },
    ],
    rounds,
  )
  const counted = packed.slice(1) // the first round warms up
  const speed = median(zip?.wall ?? []) / median(counted)
  const whole = `whole run ${spread(ours?.wall ?? [])} s, ${megabytes(sizes.ours)}`
  return [
    {
      bench: 'jpa',
      what: 'packing into JPA (files from 1 MiB on stored, the others deflated) against zip -r -6',
      figures: `${spread(counted)} s, ${whole}; zip ${spread(zip?.wall ?? [])} s, ${megabytes(sizes.theirs)}`,
      result: `${speed.toFixed(2)} × as fast`,
      bar: `≥ ${BAR} ×`,
      met: speed >= BAR,
      command:
        'ratchet backup mixed --to out --format jpa --level 6 --deflate 1048575 --slice 2s; zip -q -r -6 theirs.zip .',
    },
  ]
}
