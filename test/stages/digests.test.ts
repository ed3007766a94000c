import { createHash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { packBlock } from '../../src/archive/pack-block.ts'
import { openZip } from '../../src/archive/zip-reader.ts'
import { decodeManifestLine, isOmission, MANIFEST_NAME } from '../../src/archive/manifest.ts'
import { memorySource, readAll } from '../archive/build.ts'
import { SpineWorld } from '../engine/spine-world.ts'

const MIB = 1 << 20
const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest()

/** As the manifest's format says it, without the code that writes it. */
function digestOf(content: Buffer): string {
  if (content.length <= 16 * MIB) return `sha256:${sha256(content).toString('hex')}`
  const blocks: Buffer[] = []
  for (let at = 0; at < content.length; at += MIB) blocks.push(sha256(content.subarray(at, at + MIB)))
  return `sha256-1m:${sha256(Buffer.concat(blocks)).toString('hex')}`
}

/** Every size at which the way of taking a digest changes, with blocks of zeros and without. */
const CONTENTS: Readonly<Record<string, Buffer>> = {
  'a-empty': Buffer.alloc(0),
  'b-zeros-of-5-blocks': Buffer.alloc(5 * MIB),
  'c-block': Buffer.alloc(MIB, 'abc'),
  'd-block-and-a-byte': Buffer.alloc(MIB + 1),
  'e-16-blocks': Buffer.concat([Buffer.alloc(8 * MIB), Buffer.alloc(8 * MIB, 'xyz')]),
  'f-17-blocks': Buffer.concat([Buffer.alloc(9 * MIB, 'abc'), Buffer.alloc(8 * MIB)]),
  'g-zeros-of-2-blocks': Buffer.alloc(2 * MIB),
  'h-16-blocks-and-a-byte': Buffer.alloc(16 * MIB + 1),
}

describe('the digests in the manifest', () => {
  it.each([0, 1])('are those of the contents, in whatever order sizes come: level %i', async (level) => {
    await using world = new SpineWorld()
    for (const [name, content] of Object.entries(CONTENTS)) world.file(name, content)
    expect((await world.backup(await world.app(), { level })).status).toBe('completed')
    const entries = await readAll(openZip(memorySource(fs.readFileSync(path.join(world.output, 'site.zip')))))
    const manifest = entries.find((entry) => entry.path === MANIFEST_NAME)?.data.toString('utf8') ?? ''
    const digests = new Map<string, string | null>()
    for (const text of manifest.trimEnd().split('\n')) {
      const line = decodeManifestLine(text)
      if (!isOmission(line)) digests.set(line.path.toString('utf8'), line.digest)
    }
    for (const [name, content] of Object.entries(CONTENTS)) {
      expect([name, digests.get(`source/${name}`)]).toEqual([name, digestOf(content)])
    }
  })

  it('are not taken of a block where nobody wants them, of zeros neither', () => {
    for (const bytes of [Buffer.alloc(MIB), Buffer.alloc(MIB, 'abc')]) {
      expect(packBlock({ bytes, mode: 'block', level: 6, sha256: false }).sha256.length).toBe(0)
      expect(packBlock({ bytes, mode: 'block', level: 6 }).sha256.length).toBe(32)
    }
  })
})
