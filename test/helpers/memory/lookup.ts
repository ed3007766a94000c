import type { DiskPath } from '../../../src/lib/disk.ts'
import { systemError } from './errno.ts'
import type { MemoryFs } from './fs.ts'
import type { Inode } from './inode.ts'

/** Where a path leads: the folder of its last component, that component, and what is there now. */
export interface Place {
  readonly folder: Inode
  readonly name: string
  readonly node: Inode | null
  /** The path ended in a slash: only a folder will do. */
  readonly slash: boolean
}

const MAX_LINKS = 40
const PLAIN = /^[ -~]*$/

/** One character per byte, so that any name is a key. */
export function toBytes(path: DiskPath): string {
  if (typeof path === 'string' && PLAIN.test(path)) return path
  return Buffer.from(path as string).toString('latin1')
}

export const shown = (path: DiskPath): string => path.toString()

/** Resolves paths as path_resolution(7) does, `/proc/self/fd/<n>` included. */
export class Lookup {
  readonly #fs: MemoryFs
  readonly #descriptor: (fd: number) => Inode | null

  constructor(fs: MemoryFs, descriptor: (fd: number) => Inode | null) {
    this.#fs = fs
    this.#descriptor = descriptor
  }

  /** `follow`: through a link in the last component too. Throws as the call named would. */
  find(path: DiskPath, follow: boolean, syscall: string): Place {
    const bytes = toBytes(path)
    if (bytes.includes('\0')) {
      throw Object.assign(new TypeError('The argument must be without null bytes.'), { code: 'ERR_INVALID_ARG_VALUE' })
    }
    const fail = (code: string): never => {
      throw systemError(code, syscall, shown(path))
    }
    if (bytes === '') return fail('ENOENT')
    if (bytes.length > 4095) return fail('ENAMETOOLONG')
    const links = { left: MAX_LINKS }
    return this.#walk(this.#fs.inode(this.#fs.root), bytes, follow, links, fail)
  }

  /** What must be there. */
  existing(path: DiskPath, follow: boolean, syscall: string): Inode {
    const { node } = this.find(path, follow, syscall)
    if (node === null) throw systemError('ENOENT', syscall, shown(path))
    return node
  }

  #walk(start: Inode, path: string, follow: boolean, links: { left: number }, fail: (code: string) => never): Place {
    const parts = path.split('/').filter((part) => part !== '' && part !== '.')
    const slash = path.endsWith('/') || path.endsWith('/.')
    let folder = path.startsWith('/') ? this.#fs.inode(this.#fs.root) : start
    if (parts.length === 0) return { folder, name: '.', node: folder, slash }
    for (let i = 0; ; i++) {
      const name = parts[i] ?? ''
      const last = i === parts.length - 1
      if (folder.kind !== 'dir') fail('ENOTDIR')
      if (name.length > 255) fail('ENAMETOOLONG')
      let node = this.#child(folder, name, parts, i)
      if (node?.kind === 'symlink' && (!last || follow || slash)) {
        if (--links.left < 0) fail('ELOOP')
        const to = this.#walk(folder, node.target.toString('latin1'), true, links, fail)
        if (last && slash && to.node !== null && to.node.kind !== 'dir') fail('ENOTDIR')
        if (last) return { ...to, slash: slash || to.slash }
        node = to.node
      }
      if (last) {
        if (slash && node !== null && node.kind !== 'dir') fail('ENOTDIR')
        return { folder, name, node, slash }
      }
      if (node === null) return fail('ENOENT')
      folder = node
    }
  }

  #child(folder: Inode, name: string, parts: readonly string[], at: number): Inode | null {
    if (name === '..') return this.#fs.inode(folder.parent)
    const ino = folder.entries.get(name)
    if (ino !== undefined) return this.#fs.inode(ino)
    return folder.ino === this.#fs.root ? this.#proc(folder, name, parts, at) : null
  }

  /** `/proc/self/fd` exists only as a way to say "below this handle"; it cannot be listed. */
  #proc(root: Inode, name: string, parts: readonly string[], at: number): Inode | null {
    if (parts[0] !== 'proc') return null
    if (at < 3) return ['proc', 'self', 'fd'][at] === name ? root : null
    return at === 3 && /^\d+$/.test(name) ? this.#descriptor(Number(name)) : null
  }

  /** The absolute path of a folder or file, as `realpath` says it. */
  pathOf(node: Inode): string | null {
    if (node.ino === this.#fs.root) return ''
    for (const folder of this.#fs.inodes.values()) {
      if (folder.kind !== 'dir' || (node.kind === 'dir' && folder.ino !== node.parent)) continue
      for (const [name, ino] of folder.entries) {
        if (ino !== node.ino) continue
        const above = this.pathOf(folder)
        if (above !== null) return `${above}/${name}`
      }
    }
    return null
  }
}
