import { once } from 'node:events'
import { writeSync } from 'node:fs'
import { realDisk } from '../../src/lib/disk.ts'
import { Keys } from '../../src/settings/keys.ts'

/** Makes or finds the key of a data folder when it is told to, and says which one it has. */
const [folder = ''] = process.argv.slice(2)
writeSync(1, 'ready\n')
await once(process.stdin, 'data')
writeSync(1, `${new Keys(realDisk, folder, {}).presentOrMade(false).id.toString('hex')}\n`)
process.exit()
