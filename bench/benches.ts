import { jpa } from './jpa.ts'
import { mariadb, postgres } from './databases.ts'
import type { Row } from './report.ts'
import { browse, list } from './lists.ts'
import { sqlite } from './sqlite.ts'
import { flat, million, steps } from './stepped-runs.ts'
import { deflate, restore, slices, stored } from './whole-runs.ts'

export interface Bench {
  readonly about: string
  run(rounds: number): Promise<Row[]>
}

/** All there is to run, in the order of the table. */
export const BENCHES: Readonly<Record<string, Bench>> = {
  deflate: { about: 'ZIP at level 6 against zip', run: deflate },
  stored: { about: 'stored mode against tar, sync, sha256sum', run: stored },
  jpa: { about: 'packing into JPA, large files stored, against zip', run: jpa },
  slices: { about: '1 s and 100 ms slices against none', run: slices },
  steps: { about: 'p99 of steps over HTTP, memory', run: steps },
  'flat-many': {
    about: 'steps over 200,000 files stay flat',
    run: () =>
      flat({ bench: 'flat-many', corpus: 'many', level: 6, unit: 'entries', per: 1000, label: 'ms per 1,000 entries' }),
  },
  'flat-big': {
    about: 'steps over 10 GB stay flat',
    run: () =>
      flat({ bench: 'flat-big', corpus: 'big', level: 0, unit: 'bytes', per: 1e6, label: 'ms per MB', long: true }),
  },
  million: { about: 'memory over 1,000,000 files in folders', run: () => million('million') },
  'million-flat': { about: 'memory over 1,000,000 files in one folder', run: () => million('million-flat') },
  list: { about: 'a page of 10,000 backups', run: list },
  browse: { about: 'the first page of 1,000,000 entries', run: browse },
  sqlite: { about: 'copy of a database against sqlite3', run: sqlite },
  mariadb: { about: 'a database of MariaDB, read and put back, against its own programs', run: mariadb },
  postgres: { about: 'a database of PostgreSQL, read and put back, against its own programs', run: postgres },
  restore: { about: 'restore against unzip', run: restore },
}
