import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { interleave, ratio, type Series } from './measure.ts'
import { archiveIn, backupCommand, choiceOf, clear, outputOf, RATCHET, sizeOf } from './places.ts'
import { megabytes, type Row } from './report.ts'
import { median, spread } from './stats.ts'

/** Whole runs of the command line against whole runs of the programs everybody has. */

/** A slice longer than any of these runs: the job ends in its first step. */
const WHOLE = '1h'

const times = (series: Series | undefined): string =>
  `${spread(series?.wall ?? [])} s, cpu ${median(series?.cpu ?? []).toFixed(1)} s`

const shown = (name: string, level: number, slice = '2s'): string =>
  `ratchet backup ${name} --to out --level ${level} --slice ${slice}`

/** Against `zip -r -6`: time and size, finalization included on our side. */
export async function deflate(rounds: number): Promise<Row[]> {
  const choice = choiceOf('mixed', 6, '2s')
  const theirs = path.join(choice.work, 'theirs.zip')
  const sizes = { ours: 0, theirs: 0 }
  const [ours, zip] = await interleave(
    [
      {
        name: 'ratchet -6',
        command: { argv: backupCommand(choice) },
        prepare: () => clear(choice),
        check: () => void (sizes.ours = sizeOf(outputOf(choice))),
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
  const speed = ratio(zip, ours)
  const size = sizes.ours / sizes.theirs
  const command = `${shown('mixed', 6)}; zip -q -r -6 theirs.zip .`
  return [
    {
      bench: 'deflate',
      what: 'time against zip -r -6, finalization (re-reading, SHA-256, syncs) counted on our side only',
      figures: `${times(ours)}; zip ${times(zip)}`,
      result: `${speed.toFixed(2)} × as fast`,
      bar: '≥ 1.8 ×',
      met: speed >= 1.8,
      command,
    },
    {
      bench: 'deflate',
      what: 'size against zip -r -6',
      figures: `${megabytes(sizes.ours)}; zip ${megabytes(sizes.theirs)}`,
      result: `${size.toFixed(4)} ×`,
      bar: '≤ 1.01 ×',
      met: size <= 1.01,
      command,
    },
  ]
}

/** Without compression: against a tar that is synced and hashed, which is the same promise. */
export async function stored(rounds: number): Promise<Row[]> {
  const choice = choiceOf('mixed', 0, '2s', '-stored')
  const tar = path.join(choice.work, 'theirs.tar')
  const script = 'tar cf "$0" . && sync "$0" && sha256sum "$0"'
  const [ours, theirs] = await interleave(
    [
      { name: 'ratchet -0', command: { argv: backupCommand(choice) }, prepare: () => clear(choice) },
      {
        name: 'tar, sync, sha256sum',
        command: { argv: ['sh', '-c', script, tar], cwd: choice.source },
        prepare: () => fs.rmSync(tar, { force: true }),
      },
    ],
    rounds,
  )
  const speed = ratio(theirs, ours)
  return [
    {
      bench: 'stored',
      what: 'time against tar, sync and sha256sum, finalization counted',
      figures: `${times(ours)}; tar ${times(theirs)}`,
      result: `${speed.toFixed(2)} × as fast`,
      bar: '≥ 1.0 ×',
      met: speed >= 1,
      command: `${shown('mixed', 0)}; tar cf f . && sync f && sha256sum f`,
    },
  ]
}

/** What stepping costs: the same backup in one step, in steps of 1 s and in steps of 100 ms. */
export async function slices(rounds: number): Promise<Row[]> {
  const sides = [WHOLE, '1s', '100ms'].map((slice) => {
    const choice = choiceOf('mixed', 6, slice, `-${slice}`)
    return { name: `slice ${slice}`, command: { argv: backupCommand(choice) }, prepare: () => clear(choice) }
  })
  const [whole, second, tenth] = await interleave(sides, rounds)
  const row = (series: Series | undefined, slice: string, bar: number): Row => ({
    bench: 'slices',
    what: `time in slices of ${slice} against one step`,
    figures: `${times(series)}; whole ${times(whole)}`,
    result: `${ratio(series, whole).toFixed(3)} ×`,
    bar: `≤ ${bar} ×`,
    met: ratio(series, whole) <= bar,
    command: `${shown('mixed', 6, slice)}; ${shown('mixed', 6, WHOLE)}`,
  })
  return [row(second, '1 s', 1.05), row(tenth, '100 ms', 1.3)]
}

/** Against unzip, from the same archive; ours compare digests, and the program also syncs what it writes. */
export async function restore(rounds: number): Promise<Row[]> {
  const choice = choiceOf('mixed', 6, '2s', '-restore')
  clear(choice)
  await interleave([{ name: 'backup', command: { argv: backupCommand(choice) }, prepare: () => clear(choice) }], 0)
  const archive = archiveIn(outputOf(choice))
  const data = path.join(choice.work, 'data-restore')
  const script = path.join(choice.work, 'restore.mjs')
  const [node, program] = RATCHET
  fs.writeFileSync(script, execFileSync(node, [program, 'script']))
  // A new name each time: after thousands of files were deleted, ext4 is slow to make new ones, whoever asks.
  let run = 0
  const next = (name: string): string => path.join(choice.work, `${name}-${++run}`)
  const ratchet = (): string[] => [...RATCHET, '--json', '--data', data, 'restore', archive, '--to', next('ours')]
  const [ours, alone, unzip] = await interleave(
    [
      {
        name: 'ratchet restore',
        command: () => ({ argv: ratchet() }),
        prepare: () => fs.rmSync(data, { recursive: true, force: true }),
      },
      { name: 'restore.mjs', command: () => ({ argv: [node, script, archive, '--to', next('alone')] }) },
      { name: 'unzip', command: () => ({ argv: ['unzip', '-q', archive, '-d', next('theirs')] }) },
    ],
    rounds,
  )
  fs.rmSync(choice.work, { recursive: true, force: true })
  const row = (what: string, series: Series | undefined, bar: number, command: string): Row => {
    const speed = ratio(unzip, series)
    const result = `${speed.toFixed(2)} × as fast`
    const figures = `${times(series)}; unzip ${times(unzip)}`
    return { bench: 'restore', what, figures, result, bar: `≥ ${bar} ×`, met: speed >= bar, command }
  }
  const rss = Math.max(...(alone?.rss ?? [0]))
  const embedded = 'node restore.mjs mixed.zip --to alone; unzip -q mixed.zip -d theirs'
  return [
    row(
      'time against unzip (which syncs nothing)',
      ours,
      1,
      'ratchet restore mixed.zip --to ours; unzip -q mixed.zip -d theirs',
    ),
    row("the archive's own restore.mjs against unzip", alone, 0.8, embedded),
    {
      bench: 'restore',
      what: "peak RSS: the archive's own restore.mjs",
      figures: `${alone?.rss.length ?? 0} runs`,
      result: megabytes(rss),
      bar: `≤ ${megabytes(120e6)}`,
      met: rss <= 120e6,
      command: embedded,
    },
  ]
}
