import fs from 'node:fs'
import { Damage, unpack } from './content.ts'
import { codeOf } from './faults.ts'
import type { Joined } from './parts.ts'
import { Proof } from './proof.ts'
import type { Task, Tree } from './target.ts'

/** What comes after all files are in place: links, further names of files, and what only holds for a finished folder. */

const LONGEST_LINK = 4095
/** What file systems answer that know no second names, or no more of them. */
const NO_NAMES: ReadonlySet<string> = new Set('EPERM EMLINK EXDEV ENOTSUP EOPNOTSUPP ENOSYS EINVAL'.split(' '))

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
  const found = tree.find(name)
  const place = tree.at(name)
  if (found === undefined) fs.symlinkSync(target, place)
  else if (!found.isSymbolicLink() || !fs.readlinkSync(place, { encoding: 'buffer' }).equals(target)) {
    throw new Damage('something of this name is there already')
  }
  if (task.owner !== null) fs.lchownSync(place, task.owner.uid, task.owner.gid)
  fs.lutimesSync(place, task.mtime, task.mtime)
}

/** A further name of a file that is in place. False where there can be none: the name has content of its own. */
export function makeName(tree: Tree, first: Buffer, name: Buffer): boolean {
  const of = tree.find(first)
  if (of === undefined || !of.isFile()) return false
  const found = tree.find(name)
  const place = tree.at(name)
  if (found !== undefined) {
    if (found.isFile() && found.ino === of.ino) return true
    if (!tree.resumed || !found.isFile()) throw new Damage('something of this name is there already')
    fs.rmSync(place) // of a file that had to be written again
  }
  try {
    fs.linkSync(tree.at(first), place)
    return true
  } catch (error) {
    if (!NO_NAMES.has(codeOf(error))) throw error
    return false
  }
}

/** Modes and times of folders; `later` are those that would shut us out, the deepest first. */
export class Folders {
  readonly #tree: Tree
  readonly #later: Task[] = []

  constructor(tree: Tree) {
    this.#tree = tree
  }

  finish(task: Task): void {
    if (!this.#tree.find(task.item.name)?.isDirectory()) return // named already: something else is in its place
    if ((task.mode & 0o100) === 0) this.#later.push(task)
    else this.apply(task)
  }

  get later(): readonly Task[] {
    return this.#later.toReversed()
  }

  apply({ item, mode, mtime, owner }: Task): void {
    const place = this.#tree.at(item.name)
    if (owner !== null) fs.chownSync(place, owner.uid, owner.gid)
    fs.utimesSync(place, mtime, mtime)
    fs.chmodSync(place, mode)
  }
}
