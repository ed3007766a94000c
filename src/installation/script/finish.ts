import fs from 'node:fs'
import { Damage, unpack } from './content.ts'

import type { Joined } from './parts.ts'
import { Proof } from './proof.ts'
import type { Task, Tree } from './target.ts'

/** What comes after all files are in place: links, further names of files, and what only holds for a finished folder. */

const LONGEST_LINK = 4095

/** The path a link points to. Throws `Damage` unless its content is proven. */
export async function linkTarget(archive: Joined, { item, digest }: Task): Promise<Buffer> {
  if (item.size > LONGEST_LINK) throw new Damage(`it is a link of ${item.size} bytes`)
  const proof = new Proof(digest, item.crc)
  const pieces: Buffer[] = []
  await unpack(archive, item, (bytes) => {
    proof.update(bytes)
    pieces.push(Buffer.from(bytes))
  })
  const target = Buffer.concat(pieces)
  if (!proof.holds()) throw new Damage('its content is not what was backed up')
  if (target.length === 0 || target.includes(0)) throw new Damage('its target is no path')
  return target
}

/** Whether a link in the folder of `name` leads out of the restored tree, judged by its text alone. */
export function leadsOut(name: Buffer, target: Buffer): boolean {
  if (target[0] === 0x2f) return true
  let depth = name.toString('latin1').split('/').length - 1
  let below = false
  for (const part of target.toString('latin1').split('/')) {
    if (part === '' || part === '.') continue
    if (part !== '..') {
      depth++
      below = true
      continue
    }
    // A name before `..` may itself be a link that leads elsewhere.
    if (below || --depth < 0) return true
  }
  return false
}

export function makeLink(tree: Tree, task: Task, target: Buffer): void {
  const { name } = task.item
  tree.parentOf(name)
  const place = tree.at(name)
  const found = fs.lstatSync(place, { throwIfNoEntry: false })
  if (found !== undefined) {
    if (found.isSymbolicLink() && fs.readlinkSync(place, { encoding: 'buffer' }).equals(target)) return
    throw new Damage('something of this name is there already')
  }
  fs.symlinkSync(target, place)
  if (task.owner !== null) fs.lchownSync(place, task.owner.uid, task.owner.gid)
  fs.lutimesSync(place, task.mtime, task.mtime)
}

/** A further name of a file that is in place. */
export function makeName(tree: Tree, first: Buffer, name: Buffer): void {
  tree.parentOf(name)
  const place = tree.at(name)
  const found = fs.lstatSync(place, { throwIfNoEntry: false })
  if (found !== undefined) {
    if (found.isFile() && found.ino === fs.lstatSync(tree.at(first)).ino) return
    throw new Damage('something of this name is there already')
  }
  fs.linkSync(tree.at(first), place)
}

/** Modes and times of folders; those that would shut ourselves out last, the deepest first. */
export class Folders {
  readonly #tree: Tree
  readonly #later: Task[] = []

  constructor(tree: Tree) {
    this.#tree = tree
  }

  finish(task: Task): void {
    if ((task.mode & 0o700) === 0o700) return this.#apply(task)
    this.#later.push(task)
  }

  end(): void {
    for (const task of this.#later.toReversed()) this.#apply(task)
  }

  #apply({ item, mode, mtime, owner }: Task): void {
    const place = this.#tree.at(item.name)
    if (owner !== null) fs.chownSync(place, owner.uid, owner.gid)
    fs.utimesSync(place, mtime, mtime)
    fs.chmodSync(place, mode)
  }
}
