import { putFile } from './disk-tree.ts'
import { MemoryDisk } from './memory-disk.ts'
import { seeded } from './random.ts'

const MIB = 1 << 20

/** Text that packs well, bytes that do not, and nothing: what decides how a block is stored. */
function mixed(size: number): Buffer {
  const bytes = Buffer.alloc(size)
  const random = seeded(7)
  for (let at = 0; at < size; at += 64 << 10) {
    const length = Math.min(64 << 10, size - at)
    const kind = (at >> 16) % 8
    if (kind === 3) random.bytes(Math.min(length, 40 << 10)).copy(bytes, at)
    else if (kind < 6) bytes.fill(`${at}: a line of a log that is like all the others\n`, at, at + length)
  }
  return bytes
}

/** Names as raw bytes where they are not text. */
export const ODD_NAME = Buffer.from([0x6f, 0x64, 0x64, 0xff, 0xfe, 0x2e, 0x74, 0x78, 0x74])
/** Two blocks, for the runs of which there are many. */
export const TWO_BLOCKS = MIB + 234_567
export const LARGE_SIZE = 3.5 * MIB + 12_345
/** Above the size up to which a file has one digest over its whole content. */
export const HUGE_SIZE = 17 * MIB + 1

export interface SourceOptions {
  /** Default: `LARGE_SIZE`; 0: no large file. */
  readonly large?: number
  /** Further small files, in folders of 100. */
  readonly files?: number
}

/** `/source` as the reference job backs it up, durable, beside an empty `/out` and `/data`. */
export function benchSource(options: SourceOptions = {}): MemoryDisk {
  const disk = new MemoryDisk()
  for (const folder of ['/source', '/data', '/out', '/source/empty', '/source/docs', '/source/docs/deep']) {
    disk.mkdir(folder, 0o755)
  }
  putFile(disk, '/source/a.txt', 'the first file\n')
  putFile(disk, '/source/docs/nothing', '')
  putFile(disk, '/source/docs/readme.md', '# Read me\n'.repeat(300))
  putFile(disk, '/source/docs/deep/noise.bin', seeded(3).bytes(5000))
  putFile(disk, Buffer.concat([Buffer.from('/source/docs/'), ODD_NAME]), 'a name that is not UTF-8')
  disk.symlink(Buffer.from('docs/readme.md'), '/source/link')
  disk.symlink(Buffer.from('/nowhere'), '/source/dangling')
  const large = options.large ?? LARGE_SIZE
  if (large > 0) putFile(disk, '/source/m-large.dat', mixed(large))
  putFile(disk, '/source/z-last.txt', 'the last file\n'.repeat(20))
  for (let n = 0; n < (options.files ?? 0); n++) addFile(disk, n)
  return disk.settle()
}

function addFile(disk: MemoryDisk, n: number): void {
  const folder = `/source/many-${String(Math.floor(n / 100)).padStart(3, '0')}`
  if (n % 100 === 0) disk.mkdir(folder, 0o755)
  putFile(disk, `${folder}/${String(n).padStart(6, '0')}.txt`, `file number ${n}\n`.repeat(1 + (n % 9)))
}
