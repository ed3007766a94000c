import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { startMariadb } from '../test/servers/mariadb.ts'
import { benchRoot } from './corpus.ts'
import { fill, place } from './mariadb.ts'
import { interleave, ratio, type Side } from './measure.ts'
import { RATCHET } from './places.ts'
import type { Row } from './report.ts'
import { spread } from './stats.ts'

/** The same database put back: by us out of the archive, by the vendor's client out of a file that is not packed. */
export async function mariadbRestore(rounds: number): Promise<Row[]> {
  const work = path.join(benchRoot(), 'work', 'mariadb-restore')
  fs.rmSync(work, { recursive: true, force: true })
  fs.mkdirSync(work, { recursive: true })
  await using server = await startMariadb(['--innodb-buffer-pool-size=1G', '--innodb-log-file-size=512M'])
  await fill(server)
  const { socket } = server
  const at = place(work, 'data', socket, 3_600_000)
  const command = [...RATCHET, '--json', '--data', at.data]
  execFileSync(command[0] ?? '', [...command.slice(1), 'backup', '--profile', '2'])
  const dump = path.join(work, 'theirs.sql')
  const connect = ['--no-defaults', `--socket=${socket}`, '--user=root']
  execFileSync('mariadb-dump', [...connect, '--single-transaction', `--result-file=${dump}`, 'bench'])
  const fresh = async (make: boolean): Promise<void> => {
    await server.root.query(`DROP DATABASE IF EXISTS copy${make ? '; CREATE DATABASE copy CHARACTER SET utf8mb4' : ''}`)
  }
  const whole = async (): Promise<void> => {
    const [[row]] = (await server.root.query('SELECT COUNT(*) AS n FROM copy.big')) as unknown as [[{ n: number }]]
    if (row.n !== 1_000_000) throw new Error(`the table big came back with ${row.n} rows`)
  }
  const ours: Side = {
    name: 'ratchet restore --database',
    command: { argv: [...command, 'restore', '1', '--database', 'bench=copy', '--slice', '1h'] },
    prepare: () => fresh(false),
    check: whole,
  }
  const theirs: Side = {
    name: 'mariadb < dump',
    command: { argv: ['sh', '-c', 'mariadb --no-defaults --socket="$1" --user=root copy < "$0"', dump, socket] },
    prepare: () => fresh(true),
    check: whole,
  }
  const [mine, vendor] = await interleave([ours, theirs], rounds)
  const speed = ratio(vendor, mine)
  fs.rmSync(work, { recursive: true, force: true })
  return [
    {
      bench: 'mariadb-restore',
      what: 'restore of a database out of a deflated archive, proven, against the client reading a plain dump',
      figures: `${spread(mine?.wall ?? [])} s; theirs ${spread(vendor?.wall ?? [])} s`,
      result: `${speed.toFixed(2)} × as fast`,
      bar: '≥ 0.9 ×',
      met: speed >= 0.9,
      command: 'ratchet restore 1 --database bench=copy; mariadb copy < dump.sql',
    },
  ]
}
