import { describe, expect, it } from 'vitest'
import { checkEntry } from '../../src/archive/safe-path.ts'
import { openZip } from '../../src/archive/zip-reader.ts'
import { buildZip, memorySource, readAll } from './build.ts'
import { base, crafted, withEnd64 } from './craft.ts'
import {
  DAMAGED,
  directory,
  ends,
  entries,
  LIMIT,
  limits,
  localVersusCentral,
  overlaps,
  splitSet,
  zeros,
  zip64,
  type Sample,
} from './hostile-corpus.ts'

/** Each crafted archive is refused with its reason; none is read in silence. */

const corpus = { localVersusCentral, directory, overlaps, ends, zip64, entries, limits }
const source = ({ bytes }: Sample) => memorySource(...(Buffer.isBuffer(bytes) ? [bytes] : bytes))

async function everything({ bytes, limits: l = {} }: Sample): Promise<void> {
  const reader = openZip(memorySource(...(Buffer.isBuffer(bytes) ? [bytes] : bytes)), { limits: l })
  for (const entry of reader.entries()) checkEntry(entry, 'linux')
  try {
    await readAll(reader)
  } catch (error) {
    if (error instanceof Error && error.constructor.name === 'CrcMismatch')
      throw Object.assign(error, { code: DAMAGED })
    throw error
  }
}

for (const [title, samples] of Object.entries(corpus)) {
  describe(title, () => {
    it.each(Object.entries(samples))('%s', async (_name, hostile) => {
      await expect(everything(hostile)).rejects.toMatchObject({ code: hostile.code })
    })
    it.each(Object.entries(samples).filter(([, { code }]) => code !== LIMIT))('%s: salvage ends', async (_name, h) => {
      const reader = openZip(source(h), { salvage: true })
      for (const entry of reader.entries()) {
        try {
          checkEntry(entry, 'linux')
          for await (const { bytes } of reader.content(entry)) expect(bytes.length).toBeLessThanOrEqual(1 << 20)
        } catch (error) {
          expect(error).toMatchObject({ name: 'BackupError' })
        }
      }
    })
  })
}

it('the corpus holds at least 60 samples, and what it was made from is good', async () => {
  expect(Object.values(corpus).reduce((n, c) => n + Object.keys(c).length, 0)).toBeGreaterThanOrEqual(60)
  expect(await readAll(openZip(memorySource(base())))).toHaveLength(4)
  expect(await readAll(openZip(memorySource(...splitSet())))).toHaveLength(4)
  const good = crafted((b, { e }) => withEnd64(b, e, () => {}))
  expect(await readAll(openZip(memorySource(good)))).toHaveLength(4)
})

it('sparse files of our own stay below the ratio limit', async () => {
  expect((await readAll(openZip(memorySource(buildZip([zeros(24)])))))[0]?.data.length).toBe(24 << 20)
})
