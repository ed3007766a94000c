import fs from 'node:fs'
import path from 'node:path'
import { benchRoot } from './corpus.ts'

const GIGABYTES = 10
const PIECE = 64 << 20

/**
 * Disks of rented machines are fast for some gigabytes and slow from then on. Whoever wants to see whether a program
 * slows down while it writes has to write until the disk has done so. Speeds of each gigabyte, in MB/s.
 */
export function tireDisk(): number[] {
  const file = path.join(benchRoot(), 'tiring')
  const bytes = Buffer.alloc(PIECE)
  for (let at = 0; at < PIECE; at += 8) bytes.writeDoubleLE(Math.random(), at)
  const fd = fs.openSync(file, 'w')
  try {
    return Array.from({ length: GIGABYTES }, () => {
      const begun = performance.now()
      for (let written = 0; written < 1e9; written += PIECE) {
        fs.writeSync(fd, bytes)
        fs.fdatasyncSync(fd)
      }
      return 1e6 / (performance.now() - begun)
    })
  } finally {
    fs.closeSync(fd)
    fs.rmSync(file)
  }
}
