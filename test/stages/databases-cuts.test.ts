import fs from 'node:fs'
import path from 'node:path'
import type { BackupSpec } from '../../src/engine/spec.ts'
import type { StageName } from '../../src/engine/stage.ts'
import { realDisk } from '../../src/lib/disk.ts'
import { openStages } from '../../src/step-parts.ts'
import { makeBank } from '../dump/database.ts'
import { MemoryWork } from '../helpers/memory-work.ts'
import { sampleSpec } from '../helpers/sample-job.ts'
import { temporaryFolder } from '../helpers/tree.ts'
import { resumable, type ResumableRun } from '../suites/resumable.ts'

/** One database in a source, one beside it, the latter large enough for its copy to be caught under way. */
const banks = temporaryFolder()
const source = path.join(banks.path, 'source')
makeBank(path.join(source, 'app/bank.db'), { mode: 'wal' })
makeBank(path.join(banks.path, 'shop.db'), { ballast: 2000 })
fs.writeFileSync(path.join(source, 'app/readme.txt'), 'plain')
// One that SQLite cannot open: a file, like its log, which has its turn after another entry.
const begin = fs.readFileSync(path.join(source, 'app/bank.db')).fill(0x5a, 32)
fs.writeFileSync(path.join(source, 'app/odd.db'), begin)
fs.writeFileSync(path.join(source, 'app/odd.db-a'), 'between')
fs.writeFileSync(path.join(source, 'app/odd.db-wal'), 'a log')
process.once('exit', () => banks[Symbol.dispose]())

const SPEC: Partial<BackupSpec> = {
  sources: [{ type: 'directory', path: source, xattrs: false }],
  databases: [{ type: 'sqlite', path: path.join(banks.path, 'shop.db') }],
}

/** A stage over quiet databases: however often its process ends, the same bytes come out. */
function stageRun(stage: StageName): ResumableRun {
  const folder = temporaryFolder()
  const output = path.join(folder.path, 'output')
  const stages = openStages({ dataDir: path.join(folder.path, 'data'), threads: 0 })
  const spec = sampleSpec({ ...SPEC, output })
  const out = path.join(output, '.ratchet-1')
  const work = new MemoryWork({ spec, disk: realDisk, side: path.join(folder.path, 'side'), out })
  return {
    work,
    steps: (ctx) => stages.stages[stage].run(ctx),
    result: () => ({
      files: new Map(
        Object.keys(work.committed.files)
          .toSorted()
          .map((key) => [key, key.startsWith('out/') ? work.content(key.slice(4), 'out') : work.content(key)]),
      ),
      copies: fs.readdirSync(out).filter((name) => name.includes('.sqlite') && !trash(work).has(name)),
      totals: work.committed.totals,
      parts: work.committed.parts,
    }),
    dispose() {
      stages[Symbol.dispose]()
      folder[Symbol.dispose]()
    },
  }
}

/** Given up, and unlinked by whoever takes the job next. */
const trash = (work: MemoryWork): Set<string> => new Set(work.committed.trash.map((key) => path.basename(key)))

resumable('the db stage', () => stageRun('db'), { cuts: 3 })
resumable('databases met by the pack stage', () => stageRun('pack'), { cuts: 2 })
