import fs from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import type * as SqliteModule from '../src/dump/sqlite.ts'
import type * as ClockModule from '../src/lib/clock.ts'

/** `sqlite-copy.ts SOURCE COPY`: one copy by the dumper as it is published. */
const [source = '', to = ''] = process.argv.slice(2)
const dist = (name: string): string => pathToFileURL(path.join(import.meta.dirname, '../dist', name)).href

const { SqliteDumper } = (await import(dist('dump/sqlite.js'))) as typeof SqliteModule
const { systemClock } = (await import(dist('lib/clock.js'))) as typeof ClockModule

const { dev, ino } = fs.statSync(source, { bigint: true })
using dumper = new SqliteDumper(systemClock)
const dump = dumper.begin({ path: Buffer.from(source), dev, ino, to })
for (let end = await dump.wait(1000); ; end = await dump.wait(1000)) {
  if (end === null) continue
  if (!end.ok) throw new Error(end.message)
  break
}
