import fs from 'node:fs'
import path from 'node:path'
import { SqliteDumper } from '../../../src/dump/sqlite.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import { BackupError } from '../../../src/lib/errors.ts'

/** Copies one database into a folder and says what came of it, with the names left there if it failed. */
const [file = '', folder = ''] = process.argv.slice(2)
const to = path.join(folder, `copy-of-${path.basename(file)}`)
const { dev, ino } = fs.lstatSync(file, { bigint: true })

async function copied(): Promise<object> {
  using dumper = new SqliteDumper(systemClock)
  const dump = dumper.begin({ path: Buffer.from(file), dev, ino, to })
  for (;;) {
    const end = await dump.wait(1000)
    if (end !== null) return end
  }
}

const said = await copied().catch((error: unknown) => {
  if (!(error instanceof BackupError)) throw error
  return { ...error.toRecord(), left: fs.readdirSync(folder) }
})
process.stdout.write(JSON.stringify(said))
