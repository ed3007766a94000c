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

/** What the message must say, so that no sample is refused by accident for something else. */
const REASONS: Readonly<Record<string, RegExp>> = {
  localVersusCentral: /differ|header is missing|runs into what follows|is announced and missing|^a\.txt$|^d\/b\.bin$/,
  directory: /entr|director|size of 4|announced and missing|lies in part/,
  overlaps: /overlap|runs into what follows/,
  ends: /end record|part\(s\)|begins in a part|another archive|malformed|header is missing/,
  zip64: /ZIP64|cannot hold|impossible value|part\(s\)|reaches beyond|1000:1/,
  'a local extra field that swallows the data': /runs into what follows/,
  'data that runs into the next header by less than its own extra field': /runs into what follows/,
  'local headers hidden in an extra field': /overlap/,
  'an end record in the comment of another': /several end records/,
  'another count': /end record and the ZIP64 end record disagree/,
  'another offset': /end record and the ZIP64 end record disagree/,
  'another length': /end record and the ZIP64 end record disagree/,
  'a stream longer than it says': /longer than announced/,
}

for (const [title, samples] of Object.entries(corpus)) {
  describe(title, () => {
    it.each(Object.entries(samples))('%s', async (name, hostile) => {
      const message: unknown = expect.stringMatching(REASONS[name] ?? REASONS[title] ?? /./)
      await expect(everything(hostile)).rejects.toMatchObject({ code: hostile.code, message })
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

it('the content of a refused entry is refused too, and the others are given', async () => {
  const { encrypted } = entries
  if (encrypted === undefined || !Buffer.isBuffer(encrypted.bytes)) throw new Error('missing')
  const reader = openZip(memorySource(encrypted.bytes))
  for (const entry of reader.entries()) {
    const read = async (): Promise<void> => {
      for await (const { bytes } of reader.content(entry)) expect(bytes.length).toBeGreaterThan(0)
    }
    if (entry.refused === undefined) await read()
    else {
      await expect(read()).rejects.toBe(entry.refused)
      expect(() => [...reader.blocksOf(entry)]).toThrow(entry.refused)
    }
  }
})

it('sparse files of our own stay below the ratio limit', async () => {
  expect((await readAll(openZip(memorySource(buildZip([zeros(24)])))))[0]?.data.length).toBe(24 << 20)
})
