import fs from 'node:fs'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { benchRoot } from './corpus.ts'
import { interleave, ratio } from './measure.ts'
import { megabytes, type Row } from './report.ts'
import { median, spread } from './stats.ts'

/** Consistent copies of one database, by our dumper and by the program that comes with SQLite. */

const ROWS = 900_000
const COPY = path.join(import.meta.dirname, 'sqlite-copy.ts')

/** About 500 MB: rows of 100 to 700 bytes and an index over a part of them. Made once. */
function database(): string {
  const file = path.join(benchRoot(), 'sqlite', 'source.db')
  if (fs.existsSync(file)) return file
  fs.mkdirSync(path.dirname(file), { recursive: true })
  const growing = `${file}.growing`
  fs.rmSync(growing, { force: true })
  {
    using db = new DatabaseSync(growing)
    db.exec(`
      PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-200000;
      CREATE TABLE posts (id INTEGER PRIMARY KEY, author TEXT NOT NULL, body BLOB NOT NULL, at REAL);
      CREATE INDEX posts_author ON posts (author, at);
      WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < ${ROWS})
        INSERT INTO posts
        SELECT i, 'author ' || (i * 2654435761 % 100003), zeroblob(100 + i * 7919 % 700), i / 3.0 FROM c;
    `)
  }
  fs.renameSync(growing, file)
  return file
}

/** Against `.backup` and `PRAGMA integrity_check` of the copy; we also count rows and sync. */
export async function sqlite(rounds: number): Promise<Row[]> {
  const source = database()
  const [ours, theirs] = ['ours.db', 'theirs.db'].map((name) => path.join(path.dirname(source), name))
  if (ours === undefined || theirs === undefined) throw new Error('two copies have two names')
  const [copy, program] = await interleave(
    [
      {
        name: 'ratchet',
        command: { argv: [process.execPath, COPY, source, ours] },
        prepare: () => fs.rmSync(ours, { force: true }),
      },
      {
        name: 'sqlite3',
        command: {
          argv: ['bash', '-c', 'sqlite3 "$0" ".backup $1" && sqlite3 "$1" "PRAGMA integrity_check"', source, theirs],
        },
        prepare: () => fs.rmSync(theirs, { force: true }),
      },
    ],
    rounds,
  )
  const speed = ratio(program, copy)
  const { size } = fs.statSync(source)
  for (const file of [ours, theirs]) fs.rmSync(file, { force: true })
  return [
    {
      bench: 'sqlite',
      what: `consistent copy of a database of ${megabytes(size)}, checked; ours with row counts and sync`,
      figures: `${spread(copy?.wall ?? [])} s, ${megabytes(median(copy?.rss ?? []))}; sqlite3 ${spread(program?.wall ?? [])} s`,
      result: `${speed.toFixed(2)} × as fast`,
      bar: '≥ 0.8 ×',
      met: speed >= 0.8,
      command: 'the copier of the db stage; sqlite3 src ".backup copy" && sqlite3 copy "PRAGMA integrity_check"',
    },
  ]
}
