import fs from 'node:fs'
import path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { realDisk } from '../../src/lib/disk.ts'
import { fromNanoseconds } from '../../src/stages/restore/metadata.ts'
import { temporaryFolder } from '../helpers/tree.ts'

const folder = temporaryFolder()
afterAll(() => folder[Symbol.dispose]())

const micros = (ns: bigint): bigint => ns / 1000n - (ns < 0n && ns % 1000n !== 0n ? 1n : 0n)

test.each([-1_500_000_000n, -1n, -1000n, 0n, 999n, 1_234_567_890_123_456_789n, 7_258_118_400_123_456_000n])(
  '%d ns comes back to the microsecond',
  (ns) => {
    const file = path.join(folder.path, String(ns))
    fs.writeFileSync(file, '')
    const fd = realDisk.open(file, 'update')
    realDisk.futimes(fd, fromNanoseconds(ns), fromNanoseconds(ns))
    realDisk.close(fd)
    expect(micros(realDisk.stat(file).mtimeNs)).toBe(micros(ns))
  },
)
