import fs from 'node:fs'
import path from 'node:path'

/**
 * A small web site, the same at every run: a few thousand text files, some pictures, one large file,
 * and what real sites have in odd corners (names, links, modes, times, empty folders).
 */

const FOLDERS = 120
const TEXTS = 2800
const PICTURES = 160
const LARGE = 30 * 1024 * 1024

/** xorshift32: fast, seeded, the same on every machine. */
class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed
  }

  next(): number {
    let x = this.#state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#state = x >>> 0
    return this.#state
  }

  below(limit: number): number {
    return this.next() % limit
  }

  bytes(length: number): Buffer {
    const words = new Uint32Array(Math.ceil(length / 4))
    for (let i = 0; i < words.length; i++) words[i] = this.next()
    return Buffer.from(words.buffer, 0, length)
  }
}

const WORDS = 'page site image post title about contact shop price order customer the of and in to with'.split(' ')

function text(random: Random, length: number): Buffer {
  const words: string[] = []
  for (let size = 0; size < length;) {
    const word = WORDS[random.below(WORDS.length)] ?? ''
    words.push(random.below(12) === 0 ? `${word}.\n` : word)
    size += word.length + 1
  }
  return Buffer.from(words.join(' ')).subarray(0, length)
}

/** Makes the site in `root`, which must not exist. */
export function makeSample(root: string): void {
  const random = new Random(20260629)
  const folders = makeFolders(root, random)
  const folder = (): string => folders[random.below(folders.length)] ?? root
  for (let i = 0; i < TEXTS; i++) {
    const extension = ['html', 'php', 'css', 'js', 'md'][random.below(5)] ?? 'txt'
    fs.writeFileSync(path.join(folder(), `page-${i}.${extension}`), text(random, 100 + random.below(9000)))
  }
  for (let i = 0; i < PICTURES; i++) {
    fs.writeFileSync(path.join(folder(), `picture-${i}.jpg`), random.bytes(4000 + random.below(60_000)))
  }
  makeLarge(path.join(root, 'dump.sql'), random)
  makeOdd(root, random)
  setTimes(root, random)
}

function makeFolders(root: string, random: Random): string[] {
  const folders = [root]
  fs.mkdirSync(root)
  for (let i = 0; i < FOLDERS; i++) {
    const parent = folders[random.below(Math.min(folders.length, 40))] ?? root
    const made = path.join(parent, `folder-${i}`)
    fs.mkdirSync(made)
    folders.push(made)
  }
  return folders
}

/** Half of it compressible, in stretches of one MiB. */
function makeLarge(file: string, random: Random): void {
  const fd = fs.openSync(file, 'wx')
  const MiB = 1024 * 1024
  for (let at = 0; at < LARGE; at += MiB) {
    fs.writeSync(fd, (at / MiB) % 2 === 0 ? random.bytes(MiB) : text(random, MiB))
  }
  fs.closeSync(fd)
}

/** Names as bytes, since one of them is not UTF-8. */
const ODD_NAMES: readonly (string | Buffer)[] = [
  'with blanks and "quotes"',
  "it's",
  '-rf',
  '.htaccess',
  'back\\slash',
  'line\nbreak',
  'escape\u001b[31m',
  'grün-日本-é',
  'gru\u0308n-decomposed',
  'percent%20%2e%2e',
  'colon:star*question?',
  `${'long-'.repeat(48)}name`,
  Buffer.from([0x6c, 0x61, 0x74, 0x69, 0x6e, 0x31, 0x2d, 0xe9, 0xfc]),
]

function makeOdd(root: string, random: Random): void {
  const odd = path.join(root, 'odd')
  fs.mkdirSync(odd)
  for (const name of ODD_NAMES) {
    fs.writeFileSync(Buffer.concat([Buffer.from(`${odd}/`), Buffer.from(name)]), text(random, 300))
  }
  fs.writeFileSync(path.join(odd, 'empty'), '')
  for (const name of ['nothing', 'cache', 'cache/deeper']) fs.mkdirSync(path.join(odd, name))
  fs.symlinkSync('../dump.sql', path.join(odd, 'link-to-file'))
  fs.symlinkSync('cache', path.join(odd, 'link-to-folder'))
  fs.symlinkSync('not-there', path.join(odd, 'link-to-nothing'))
  fs.linkSync(path.join(odd, '.htaccess'), path.join(odd, 'hard-link'))
  fs.chmodSync(path.join(odd, 'cache'), 0o750)
  fs.chmodSync(path.join(odd, "it's"), 0o444)
  fs.chmodSync(path.join(odd, '-rf'), 0o600)
  fs.chmodSync(path.join(odd, 'percent%20%2e%2e'), 0o755)
}

/** Times in the past, with fractions of a second; folders after their content, which changes them. */
function setTimes(folder: string, random: Random): void {
  const bytes = (name: Buffer): Buffer => Buffer.concat([Buffer.from(`${folder}/`), name])
  const names = fs.readdirSync(folder, { encoding: 'buffer' }).sort(Buffer.compare)
  for (const name of names) {
    const stat = fs.lstatSync(bytes(name))
    if (stat.isDirectory()) setTimes(bytes(name).toString('utf8'), random)
    else touch(bytes(name), random)
  }
  touch(Buffer.from(folder), random)
}

function touch(file: Buffer, random: Random): void {
  const seconds = 1_500_000_000 + random.below(200_000_000) + random.below(1_000_000) / 1e6
  fs.lutimesSync(file, seconds, seconds)
}
