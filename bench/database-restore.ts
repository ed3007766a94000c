import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { benchRoot } from './corpus.ts'
import { place, type Contest } from './database-backup.ts'
import { runScript } from './database-servers.ts'
import { interleave, ratio } from './measure.ts'
import { RATCHET } from './places.ts'
import { megabytes, type Row } from './report.ts'
import { spread } from './stats.ts'

/** The same database put back: by us out of the archive, by the vendor's client out of a file that is not packed. */
export async function databaseRestore({ bench, server, rounds, bar }: Contest): Promise<Row[]> {
  const work = path.join(benchRoot(), 'work', bench)
  fs.rmSync(work, { recursive: true, force: true })
  fs.mkdirSync(work, { recursive: true })
  const at = place(work, 'data', server, 3_600_000)
  const [program, ...rest] = [...RATCHET, '--json', '--data', at.data]
  execFileSync(program, [...rest, 'backup', '--profile', '2'])
  const dump = path.join(work, 'theirs.sql')
  runScript(server.plain, dump)
  const check = async (): Promise<void> => {
    const rows = await server.restored()
    if (rows !== 1_000_000) throw new Error(`the table big came back with ${rows} rows`)
  }
  const [mine, theirs] = await interleave(
    [
      {
        name: 'ratchet restore --database',
        command: { argv: [program, ...rest, 'restore', '1', '--database', 'bench=copy', '--slice', '1h'] },
        prepare: () => server.fresh(false),
        check,
      },
      {
        name: server.load.name,
        command: { argv: ['sh', '-c', server.load.script, dump] },
        prepare: () => server.fresh(true),
        check,
      },
    ],
    rounds,
  )
  const speed = ratio(theirs, mine)
  fs.rmSync(work, { recursive: true, force: true })
  return [
    {
      bench,
      what: `restore of a database out of a deflated archive, proven, against ${server.load.name}`,
      figures: `${spread(mine?.wall ?? [])} s, ${megabytes(Math.max(...(mine?.rss ?? [0])))} RSS; theirs ${spread(theirs?.wall ?? [])} s`,
      result: `${speed.toFixed(2)} × as fast`,
      bar: `≥ ${bar} ×`,
      met: speed >= bar,
      command: `ratchet restore 1 --database bench=copy; ${server.load.name}`,
    },
  ]
}
