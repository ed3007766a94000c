import { randomFillSync } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import type { App } from '../../src/app.ts'
import type { BackupSpec } from '../../src/engine/spec.ts'
import type { BrowsePage, BrowseQuery, Outgoing } from '../../src/engine/services.ts'
import { nameToJson } from '../../src/lib/entry-path.ts'
import type { SpineWorld } from '../engine/spine-world.ts'

/** A tree with all that is hard to list: bytes that are no text, links, deep folders, a large file. */
export function fillSource(world: SpineWorld, size = 3 << 20): { big: Buffer } {
  const big = Buffer.alloc(size)
  randomFillSync(big, 0, size / 2)
  world.file('big.bin', big)
  world.file('deep/one/two/three.txt', 'three')
  world.file('deep/one/empty', '')
  world.file('deep-er', 'between a folder and what lies in it')
  fs.symlinkSync('deep/one', path.join(world.source, 'link'))
  fs.writeFileSync(Buffer.concat([Buffer.from(`${world.source}/`), Buffer.from([0xff, 0xfe, 0x61])]), 'not text')
  return { big }
}

export const FORMS: readonly (readonly [string, Partial<BackupSpec>])[] = [
  ['zip', { format: 'zip' }],
  ['zip, split', { format: 'zip', partSize: 5 << 20 }],
  ['jpa', { format: 'jpa' }],
  ['jpa, split', { format: 'jpa', partSize: 5 << 20, deflate: 'always' }],
]

const QUERY: BrowseQuery = { path: Buffer.alloc(0), recursive: false, after: null, limit: 1000 }

export const browse = (
  app: App,
  archive: number | string,
  folder = '',
  more: Partial<BrowseQuery> = {},
): Promise<BrowsePage> => app.services.archives.browse(archive, { ...QUERY, path: Buffer.from(folder), ...more })

export const names = (page: BrowsePage): string[] => page.entries.map(({ path: name }) => nameToJson(name))

export async function bytesOf(outgoing: Outgoing): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  try {
    for (let piece = await outgoing.read(); piece !== null; piece = await outgoing.read()) pieces.push(piece)
    return Buffer.concat(pieces)
  } finally {
    outgoing.close()
  }
}
