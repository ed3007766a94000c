import { writeSync } from 'node:fs'
import { AccountsFile } from '../../src/access/accounts-file.ts'
import { AuditTrail } from '../../src/access/audit.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { realDisk } from '../../src/lib/disk.ts'

/** Writes to the audit trail and the users' file until it is killed; says a number once both are acknowledged. */
const [dataDir = ''] = process.argv.slice(2)
const trail = new AuditTrail(realDisk, systemClock, dataDir)
const file = new AccountsFile(realDisk, dataDir)

for (;;) {
  let number = 0
  file.change((data) => {
    number = (data.setup?.until ?? 0) + 1
    return { ...data, setup: { digest: '0'.repeat(64), until: number } }
  })
  const place = { actor: 'child', face: 'test', address: '', result: 'ok', request: '' }
  trail.note({ event: 'counted', object: `number:${number}`, ...place })
  writeSync(1, `${number}\n`)
}
