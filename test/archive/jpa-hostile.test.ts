import { describe, expect, it } from 'vitest'
import { openJpa } from '../../src/archive/jpa-reader.ts'
import { checkEntry } from '../../src/archive/safe-path.ts'
import { BackupError } from '../../src/lib/errors.ts'
import { memorySource } from './build.ts'
import { chain, entries, header, names, type Sample } from './jpa-corpus.ts'

const GROUPS = { header, chain, names, entries }

/** Opens it, proves each path, reads all content: the code of what is thrown first. */
async function meets({ bytes, limits }: Sample, salvage: boolean): Promise<string> {
  try {
    const options = { salvage, ...(limits === undefined ? {} : { limits }) }
    using reader = openJpa(memorySource(...(Buffer.isBuffer(bytes) ? [bytes] : bytes)), options)
    for (const entry of reader.entries()) {
      checkEntry(entry, 'linux')
      for await (const piece of reader.content(entry)) expect(piece.bytes.length).toBeLessThanOrEqual(1 << 20)
    }
  } catch (error) {
    if (error instanceof BackupError) return error.code
    throw error
  }
  return 'nothing'
}

describe.each(Object.entries(GROUPS))('hostile JPA archives: %s', (_, samples) => {
  it.each(Object.entries(samples))('%s', async (_name, sample) => {
    expect(await meets(sample, false)).toBe(sample.code)
  })
  it.each(Object.entries(samples))('%s: salvage gives what is intact, or names why not', async (_name, sample) => {
    const code = await meets(sample, true)
    expect(['nothing', sample.code]).toContain(code)
  })
})

it('are of many kinds', () => {
  expect(Object.values(GROUPS).flatMap((group) => Object.keys(group)).length).toBeGreaterThan(80)
})
