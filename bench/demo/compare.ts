import fs from 'node:fs'

/** Compares two trees from outside: nothing here comes from the program under demonstration. */

export interface Comparison {
  /** Entries looked at on the left side, the root not counted. */
  entries: number
  bytes: number
  /** Sockets, FIFOs and devices of the left side, which no archive holds. */
  special: number
  /** Each with its path; empty means equal. At most `MAX`. */
  differences: string[]
}

const MAX = 100
const BLOCK = 1024 * 1024
/** Set-id bits come back only on request. */
const MODE = 0o1777n

type Kind = 'file' | 'dir' | 'link' | 'special'

function kindOf(stat: fs.BigIntStats): Kind {
  if (stat.isFile()) return 'file'
  if (stat.isDirectory()) return 'dir'
  return stat.isSymbolicLink() ? 'link' : 'special'
}

const join = (folder: Buffer, name: Buffer): Buffer => Buffer.concat([folder, Buffer.from('/'), name])

/**
 * Types, modes, modification times (to 1 µs), link targets and content of everything below the two folders, but for
 * one folder of that name directly in them.
 */
export function compareTrees(left: string, right: string, without?: string): Comparison {
  const result: Comparison = { entries: 0, bytes: 0, special: 0, differences: [] }
  compareFolders(Buffer.from(left), Buffer.from(right), result, without)
  return result
}

function differ(result: Comparison, at: Buffer, what: string): void {
  if (result.differences.length < MAX) result.differences.push(`${JSON.stringify(at.toString('utf8'))}: ${what}`)
}

function compareFolders(left: Buffer, right: Buffer, result: Comparison, without?: string): void {
  const read = (folder: Buffer): Map<string, Buffer> =>
    new Map(
      fs
        .readdirSync(folder, { encoding: 'buffer' })
        .map((name): [string, Buffer] => [name.toString('latin1'), name])
        .filter(([key]) => key !== without),
    )
  const here = read(left)
  const there = read(right)
  for (const [key, name] of there) if (!here.has(key)) differ(result, join(right, name), 'only here')
  for (const [key, name] of here) compareEntry(join(left, name), there.has(key) ? join(right, name) : null, result)
}

function compareEntry(left: Buffer, right: Buffer | null, result: Comparison): void {
  const a = fs.lstatSync(left, { bigint: true })
  const kind = kindOf(a)
  if (kind === 'special') {
    result.special++
    return
  }
  result.entries++
  if (right === null) return differ(result, left, 'missing')
  const b = fs.lstatSync(right, { bigint: true })
  if (kind !== kindOf(b)) return differ(result, left, `is a ${kind}, came back as ${kindOf(b)}`)
  if (kind !== 'link' && (a.mode & MODE) !== (b.mode & MODE)) {
    differ(result, left, `mode ${(a.mode & MODE).toString(8)}, came back as ${(b.mode & MODE).toString(8)}`)
  }
  const late = a.mtimeNs - b.mtimeNs
  if (late > 1000n || late < -1000n) differ(result, left, `modified at ${a.mtimeNs}, came back as ${b.mtimeNs}`)
  if (kind === 'dir') compareFolders(left, right, result)
  else if (kind === 'link') compareLinks(left, right, result)
  else compareFiles(left, right, result)
}

function compareLinks(left: Buffer, right: Buffer, result: Comparison): void {
  const target = (file: Buffer): Buffer => fs.readlinkSync(file, { encoding: 'buffer' })
  if (!target(left).equals(target(right))) differ(result, left, 'points elsewhere')
}

function compareFiles(left: Buffer, right: Buffer, result: Comparison): void {
  const a = fs.openSync(left, 'r')
  const b = fs.openSync(right, 'r')
  try {
    for (let at = 0; ; at += BLOCK) {
      const x = readBlock(a, at)
      if (!x.equals(readBlock(b, at))) return differ(result, left, `content differs in the block at ${at}`)
      result.bytes += x.length
      if (x.length < BLOCK) return
    }
  } finally {
    fs.closeSync(a)
    fs.closeSync(b)
  }
}

function readBlock(fd: number, at: number): Buffer {
  const block = Buffer.alloc(BLOCK)
  let done = 0
  for (let got = -1; got !== 0 && done < BLOCK; done += got) got = fs.readSync(fd, block, done, BLOCK - done, at + done)
  return block.subarray(0, done)
}
