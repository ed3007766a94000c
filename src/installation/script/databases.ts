import fs from 'node:fs'
import { printable } from './names.ts'
import type { Tree } from './target.ts'

/** Folders of SQL that were restored, named one by one up to here. */
const MOST_DATABASES = 100

/** Databases of servers come as SQL: how each is loaded by its vendor's own client. */
export class Databases {
  readonly #orders: Buffer[] = []

  note(name: Buffer): void {
    if (this.#orders.length < MOST_DATABASES && /^databases\/[^/]+\/load\.sql$/.test(name.toString('latin1')))
      this.#orders.push(name)
  }

  notes(tree: Tree, target: string): string[] {
    return this.#orders
      .filter((name) => tree.find(name)?.isFile() === true)
      .map((name) => howToLoad(tree.at(name), name, target))
  }
}

function howToLoad(place: Buffer, name: Buffer, target: string): string {
  const folder = printable(name.subarray(0, name.lastIndexOf('/')))
  // The order file of PostgreSQL speaks to psql; that of MySQL and MariaDB names files alone.
  const client = fs.readFileSync(place, 'latin1').startsWith('source ')
    ? 'mariadb (or mysql) NEW < load.sql'
    : 'psql -X -d NEW -f load.sql'
  return `to load ${folder}: make an empty database, NEW; then cd ${target}/${folder} && ${client}`
}
