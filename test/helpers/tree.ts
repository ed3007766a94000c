import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { escapeName, unescapeName } from '../../src/lib/entry-path.ts'

/**
 * A tree as a literal. Keys are names as escaped text (`escapeName`), so any bytes can be written;
 * a text or bytes is a file, an object without `type` a folder.
 */
export type Node = string | Buffer | Tree | Special
export interface Tree {
  readonly [name: string]: Node
}
export type Special =
  | { readonly type: 'link'; readonly to: string | Buffer }
  | { readonly type: 'file'; readonly data?: string | Buffer; readonly mode?: number; readonly mtime?: number }
  | { readonly type: 'folder'; readonly mode: number; readonly in?: Tree }
  | { readonly type: 'sparse'; readonly size: number; readonly data?: Readonly<Record<number, string>> }
  | { readonly type: 'fifo' }
  /** A further name of an existing file, relative to the tree's root. Made last. */
  | { readonly type: 'hard'; readonly of: string }

/** A new folder below the system's temporary one; removed when disposed. */
export function temporaryFolder(): { readonly path: string } & Disposable {
  const folder = fs.mkdtempSync(path.join(fs.realpathSync(os.tmpdir()), 'ratchet-'))
  return { path: folder, [Symbol.dispose]: () => fs.rmSync(folder, { recursive: true, force: true }) }
}

/** Makes the tree inside `root`, which is created if need be. */
export function makeTree(root: string, tree: Tree): void {
  const hard: (() => void)[] = []
  const base = Buffer.from(root)
  makeFolder(base, tree, base, hard)
  for (const make of hard) make()
}

function makeFolder(folder: Buffer, tree: Tree, root: Buffer, hard: (() => void)[]): void {
  fs.mkdirSync(folder, { recursive: true })
  for (const [key, node] of Object.entries(tree)) makeNode(below(folder, key), node, root, hard)
}

function makeNode(at: Buffer, node: Node, root: Buffer, hard: (() => void)[]): void {
  if (typeof node === 'string' || Buffer.isBuffer(node)) fs.writeFileSync(at, node)
  else if (isSpecial(node)) makeSpecial(at, node, root, hard)
  else makeFolder(at, node, root, hard)
}

function isSpecial(node: Tree | Special): node is Special {
  return typeof node['type'] === 'string'
}

function makeSpecial(at: Buffer, node: Special, root: Buffer, hard: (() => void)[]): void {
  switch (node.type) {
    case 'link':
      return fs.symlinkSync(node.to, at)
    case 'fifo':
      return void execFileSync('mkfifo', ['--', at.toString('utf8')])
    case 'hard':
      return void hard.push(() => fs.linkSync(below(root, node.of), at))
    case 'folder':
      makeFolder(at, node.in ?? {}, root, hard)
      return fs.chmodSync(at, node.mode)
    case 'file':
      fs.writeFileSync(at, node.data ?? '')
      if (node.mode !== undefined) fs.chmodSync(at, node.mode)
      if (node.mtime !== undefined) fs.utimesSync(at, node.mtime, node.mtime)
      return
    case 'sparse':
      return makeSparse(at, node.size, node.data ?? {})
  }
}

function makeSparse(at: Buffer, size: number, data: Readonly<Record<number, string>>): void {
  const fd = fs.openSync(at, 'w')
  fs.ftruncateSync(fd, size)
  for (const [offset, text] of Object.entries(data)) fs.writeSync(fd, text, Number(offset))
  fs.closeSync(fd)
}

function below(folder: Buffer, key: string): Buffer {
  return Buffer.concat([folder, Buffer.from('/'), unescapeName(key)])
}

export interface CompareOptions {
  /** Look at owners too. */
  readonly owners?: boolean
  /** Allowed difference of mtimes. Nanoseconds; default 1000. */
  readonly timeNs?: bigint
  /** Relative paths (escaped text) that may be missing in `b`. */
  readonly missing?: readonly string[]
}

/** What differs between two trees: names, types, modes, times, sizes, bytes, link targets, hard links. Empty if nothing. */
export function compareTrees(a: string, b: string, options: CompareOptions = {}): string[] {
  const left = listTree(a)
  const right = listTree(b)
  const out: string[] = []
  for (const [name, stat] of left) {
    const other = right.get(name)
    if (other !== undefined) out.push(...compareNodes(a, b, name, stat, other, options))
    else if (!(options.missing ?? []).includes(name)) out.push(`${name}: missing`)
  }
  for (const name of right.keys()) if (!left.has(name)) out.push(`${name}: not in the original`)
  return [...out, ...compareHardLinks(left, right)]
}

/** Everything below a folder by relative path (escaped text), sorted; the folder itself is ''. */
export function listTree(root: string): Map<string, fs.BigIntStats> {
  const found = new Map<string, fs.BigIntStats>()
  const waiting = ['']
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    const at = absolute(root, name)
    const stat = fs.lstatSync(at, { bigint: true })
    found.set(name, stat)
    if (!stat.isDirectory()) continue
    for (const child of fs.readdirSync(at, { encoding: 'buffer' })) {
      waiting.push((name === '' ? '' : name + '/') + escapeName(child))
    }
  }
  return new Map([...found].toSorted(([x], [y]) => Buffer.compare(unescapeName(x), unescapeName(y))))
}

const absolute = (root: string, name: string): Buffer =>
  name === '' ? Buffer.from(root) : below(Buffer.from(root), name)

type Stat = fs.BigIntStats

function compareNodes(a: string, b: string, name: string, x: Stat, y: Stat, options: CompareOptions): string[] {
  const out: string[] = []
  const differs = (what: string, p: unknown, q: unknown): void => {
    if (p !== q) out.push(`${name}: ${what} ${String(p)} ≠ ${String(q)}`)
  }
  differs('mode', x.mode.toString(8), y.mode.toString(8))
  if (options.owners) differs('owner', `${x.uid}:${x.gid}`, `${y.uid}:${y.gid}`)
  const apart = x.mtimeNs > y.mtimeNs ? x.mtimeNs - y.mtimeNs : y.mtimeNs - x.mtimeNs
  if (apart > (options.timeNs ?? 1000n)) differs('mtime', x.mtimeNs, y.mtimeNs)
  if (x.isSymbolicLink() && y.isSymbolicLink()) {
    const read = (root: string): string => fs.readlinkSync(absolute(root, name), { encoding: 'buffer' }).toString('hex')
    differs('target', read(a), read(b))
  } else if (x.isFile() && y.isFile()) {
    differs('size', x.size, y.size)
    if (x.size === y.size && !sameBytes(absolute(a, name), absolute(b, name))) out.push(`${name}: bytes differ`)
  }
  return out
}

function sameBytes(a: Buffer, b: Buffer): boolean {
  const left = fs.openSync(a, 'r')
  const right = fs.openSync(b, 'r')
  try {
    const [x, y] = [Buffer.alloc(1 << 20), Buffer.alloc(1 << 20)]
    for (;;) {
      const n = fs.readSync(left, x)
      if (n !== fs.readSync(right, y)) return false
      if (n === 0) return true
      if (!x.subarray(0, n).equals(y.subarray(0, n))) return false
    }
  } finally {
    fs.closeSync(left)
    fs.closeSync(right)
  }
}

/** Names that share an inode on one side must share one on the other. */
function compareHardLinks(left: Map<string, Stat>, right: Map<string, Stat>): string[] {
  const groups = (tree: Map<string, Stat>): string[] => {
    const byInode = new Map<string, string[]>()
    for (const [name, stat] of tree) {
      if (!stat.isFile() || stat.nlink < 2n) continue
      const key = `${stat.dev}:${stat.ino}`
      byInode.set(key, [...(byInode.get(key) ?? []), name])
    }
    return [...byInode.values()].filter((names) => names.length > 1).map((names) => names.toSorted().join(' = '))
  }
  const have = new Set(groups(right))
  return groups(left)
    .filter((group) => !have.has(group))
    .map((group) => `${group}: no longer one file`)
}
