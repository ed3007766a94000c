import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'

/** Moves money until its standard input ends, which it does when the process that started it does. */

const database = new DatabaseSync(process.argv[2] ?? '', { timeout: 10_000 })
const accounts = Number(database.prepare('SELECT count(*) AS n FROM account').get()?.['n'])
const take = database.prepare('UPDATE account SET balance = balance - ? WHERE id = ?')
const give = database.prepare('UPDATE account SET balance = balance + ? WHERE id = ?')
const note = database.prepare('INSERT INTO transfer (payer, payee, amount) VALUES (?, ?, ?)')
const count = database.prepare('UPDATE counter SET transfers = transfers + 1')

let open = true
process.stdin.on('end', () => (open = false)).on('error', () => (open = false))
process.stdin.resume()
process.on('SIGINT', () => undefined) // Ctrl-C reaches everybody; whoever started this ends it

for (let i = 1; open; i++) {
  const payer = 1 + ((i * 7) % accounts)
  const payee = 1 + ((i * 13 + 5) % accounts)
  const amount = 1 + (i % 50)
  database.exec('BEGIN IMMEDIATE')
  take.run(amount, payer)
  give.run(amount, payee)
  note.run(payer, payee, amount)
  count.run()
  database.exec('COMMIT')
  if (i % 5 === 0) await sleep(2)
}
database.close()
