import { createHash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { Damage, unpack } from './content.ts'
import type { Item } from './entry.ts'
import { jpaItems, jpaStart } from './jpa-items.ts'
import { decodeLine } from './lines.ts'
import { Fatal, type Joined } from './parts.ts'
import { Proof } from './proof.ts'
import { writeAll } from './target.ts'
import { zipItems } from './zip-items.ts'

/** What begins like this the archive's maker put into it. */
const OWN = Buffer.from('installation/')
const MANIFEST = 'installation/manifest.jsonl'
/** In archives of a format without checksums: lines for all our own entries, the manifest's among them. */
const SEAL = 'installation/seal.jsonl'
const SCRIPT = 'installation/restore.mjs'
/** No seal is longer. Bytes. */
const SEAL_MOST = 64 << 10
const MANIFEST_NAMED = 'list of files in the archive (its manifest)'
const SEAL_NAMED = 'seal of the list of files in the archive (its manifest)'

export const isOwn = (name: Buffer): boolean => name.subarray(0, OWN.length).equals(OWN)

/** The entries, by whatever format. */
export function* itemsIn(archive: Joined): Generator<Item, void, undefined> {
  const named = /\.jpa$/i.test(archive.files.at(-1) ?? '')
  yield* named || jpaStart(archive) === 0 ? jpaItems(archive) : zipItems(archive)
}

/** What the archive says about itself: all else is compared with it. */
export interface Catalogue {
  /** File with the manifest's lines; null without one. */
  readonly manifest: string | null
  /** Digests of our own entries by name, where a seal holds them. */
  readonly own: ReadonlyMap<string, string> | null
  /** What should be there to prove the rest, and is not. */
  readonly missing: readonly string[]
}

/** Finds the manifest and its seal, proves them, and puts the manifest into `folder`. `look` sees every entry. */
export async function readCatalogue(archive: Joined, folder: string, look: (item: Item) => void): Promise<Catalogue> {
  const found = new Map<string, Item>()
  for (const item of itemsIn(archive)) {
    look(item)
    if (isOwn(item.name)) found.set(item.name.toString('latin1'), item)
  }
  const [manifest, seal] = [found.get(MANIFEST), found.get(SEAL)]
  const missing: string[] = []
  if (manifest === undefined && (seal !== undefined || found.has(SCRIPT))) missing.push(MANIFEST)
  if (manifest?.crc === null && seal === undefined) missing.push(SEAL)
  const own = seal === undefined ? null : await readSeal(archive, seal)
  if (manifest === undefined) return { manifest: null, own, missing }
  const digest = own?.get(MANIFEST) ?? null
  if (own !== null && digest === null) throw damagedList(SEAL_NAMED)
  return { manifest: await copyOut(archive, manifest, digest, folder), own, missing }
}

async function readSeal(archive: Joined, seal: Item): Promise<Map<string, string>> {
  if (seal.size > SEAL_MOST) throw damagedList(SEAL_NAMED)
  const pieces: Buffer[] = []
  await unpackList(archive, seal, SEAL_NAMED, (bytes) => void pieces.push(Buffer.from(bytes)))
  const digests = new Map<string, string>()
  for (const text of Buffer.concat(pieces).toString('utf8').split('\n')) {
    const line = text === '' ? null : decodeLine(text)
    if (line !== null && line.digest !== null) digests.set(line.name.toString('latin1'), line.digest)
  }
  return digests
}

async function copyOut(archive: Joined, item: Item, digest: string | null, folder: string): Promise<string> {
  const { bavail, bsize } = fs.statfsSync(folder)
  if (item.size > bavail * bsize) throw new Fatal(`${folder} has no room for the list of files: ${item.size} bytes`)
  const file = path.join(folder, 'manifest.jsonl')
  const fd = fs.openSync(file, 'w', 0o600)
  const proof = new Proof(digest, item.crc)
  let at = 0
  try {
    await unpackList(archive, item, MANIFEST_NAMED, (bytes) => {
      proof.update(bytes)
      writeAll(fd, bytes, at)
      at += bytes.length
    })
  } finally {
    fs.closeSync(fd)
  }
  if (!proof.holds()) throw damagedList(MANIFEST_NAMED)
  return file
}

async function unpackList(archive: Joined, item: Item, what: string, take: (bytes: Buffer) => void): Promise<void> {
  try {
    await unpack(archive, item, take)
  } catch (error) {
    throw error instanceof Damage ? damagedList(what) : error
  }
}

const damagedList = (what: string): Fatal => new Fatal(`the ${what} is damaged`)

/** Why one of our own entries cannot be trusted; null if it can, or nothing would tell. */
export function ownFault({ own }: Catalogue, name: Buffer): string | null {
  const text = name.toString('latin1')
  return own === null || text === SEAL || own.has(text) ? null : 'the seal does not list it'
}

/** The same for the same archive: its length and both its ends. */
export function identityOf(archive: Joined): string {
  const head = archive.read(0, 1 << 16)
  const tail = archive.read(archive.size - Math.min(archive.size, 1 << 16), 1 << 16)
  return createHash('sha256').update(`${archive.size}\n`).update(head).update(tail).digest('hex')
}
