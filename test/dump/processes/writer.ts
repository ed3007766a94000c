import { DatabaseSync } from 'node:sqlite'

/**
 * A program that keeps a database busy: transfers between accounts, whose sum never changes, each noted in a log whose
 * length stands in a counter. Arguments: path, journal mode, milliseconds between two transactions, and `crash` to be
 * killed by its own hand in the middle of one.
 */
const [file = '', mode = 'wal', pause = '0', end = ''] = process.argv.slice(2)

const db = new DatabaseSync(file, { timeout: 10_000 })
db.exec(`PRAGMA journal_mode=${mode}; PRAGMA synchronous=OFF`)

/** Lines of the log that stay: a long run must not make the database larger and larger. */
const KEPT = 3000

const wait = (ms: number): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)

function transfer(n: number): void {
  db.exec('BEGIN IMMEDIATE')
  const amount = 1 + (n % 7)
  db.exec(`UPDATE accounts SET balance = balance - ${amount} WHERE id = ${1 + (n % 100)}`)
  db.exec(`UPDATE accounts SET balance = balance + ${amount} WHERE id = ${1 + ((n * 7 + 3) % 100)}`)
  db.exec(`INSERT INTO log (text) VALUES (hex(randomblob(${50 + (n % 500)})))`)
  db.exec(`DELETE FROM log WHERE n <= (SELECT max(n) FROM log) - ${KEPT}`)
  db.exec('UPDATE counter SET n = n + 1 - changes(), total = total + 1')
  db.exec('COMMIT')
}

if (end === 'crash') {
  db.exec('PRAGMA cache_size=5; PRAGMA wal_autocheckpoint=0')
  for (let n = 0; n < 20; n++) transfer(n)
  db.exec('BEGIN IMMEDIATE')
  // Larger than the cache: pages of an unfinished transaction reach the disk.
  db.exec(
    "UPDATE accounts SET balance = balance - 1, filler = hex(randomblob(3000)); UPDATE log SET text = text || 'x'",
  )
  process.kill(process.pid, 'SIGKILL')
}

process.stdout.write('ready\n')
for (let n = 0; ; n++) {
  transfer(n)
  if (n % 50 === 0) process.stdout.write(`${n}\n`)
  if (Number(pause) > 0) wait(Number(pause))
}
