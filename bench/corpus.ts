import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { pathToFileURL } from 'node:url'
import { Random } from './random.ts'
import { Prose } from './text.ts'

/** Raised whenever the same name and scale would give other bytes: older folders are made anew. */
const RELEASE = 1
const MB = 1e6
const PIECE = 1 << 20

export interface Corpus {
  readonly path: string
  readonly files: number
  /** Sum of the files' lengths. */
  readonly bytes: number
}

/** Writes files below one folder and counts them. */
class Tree {
  files = 0
  bytes = 0
  readonly #root: string
  readonly #random: Random
  readonly #prose = new Prose('ratchet')
  readonly #buffer = Buffer.allocUnsafeSlow(PIECE)

  constructor(root: string, random: Random) {
    this.#root = root
    this.#random = random
    fs.mkdirSync(root, { recursive: true })
  }

  folder(name: string): void {
    fs.mkdirSync(path.join(this.#root, name), { recursive: true })
  }

  text(name: string, size: number): void {
    this.#write(name, size, () => 'text')
  }

  noise(name: string, size: number): void {
    this.#write(name, size, () => 'noise')
  }

  /** Stretches of 1–4 MiB, in turn text and noise. */
  alternating(name: string, size: number): void {
    let kind: 'text' | 'noise' = 'noise'
    let left = 0
    this.#write(name, size, () => {
      if (left === 0) {
        left = 1 + this.#random.below(4)
        kind = kind === 'text' ? 'noise' : 'text'
      }
      left--
      return kind
    })
  }

  /** A few stretches of data in a file that is otherwise a hole. */
  sparse(name: string, size: number, stretches: number): void {
    const fd = fs.openSync(path.join(this.#root, name), 'w')
    fs.ftruncateSync(fd, size)
    for (let i = 0; i < stretches; i++) {
      const piece = this.#buffer.subarray(0, Math.min(PIECE, size))
      this.#random.fill(piece)
      fs.writeSync(fd, piece, 0, piece.length, this.#random.below(Math.max(1, size - piece.length)))
    }
    fs.closeSync(fd)
    this.#count(size)
  }

  /** The same content under another name, without room on the disk. */
  link(name: string, to: string, size: number): void {
    fs.linkSync(path.join(this.#root, to), path.join(this.#root, name))
    this.#count(size)
  }

  #write(name: string, size: number, kind: () => 'text' | 'noise'): void {
    const fd = fs.openSync(path.join(this.#root, name), 'w')
    for (let left = size; left > 0;) {
      const piece = this.#buffer.subarray(0, Math.min(PIECE, left))
      if (kind() === 'text') this.#prose.fill(piece, this.#random)
      else this.#random.fill(piece)
      for (let at = 0; at < piece.length;) at += fs.writeSync(fd, piece, at)
      left -= piece.length
    }
    fs.closeSync(fd)
    this.#count(size)
  }

  #count(size: number): void {
    this.files++
    this.bytes += size
  }
}

/** `scale` shrinks the number of files (and the size of the large ones) for tests. */
type Make = (tree: Tree, random: Random, scale: number) => void

const scaled = (n: number, scale: number): number => Math.max(1, Math.round(n * scale))
const number = (n: number): string => String(n).padStart(6, '0')

/** `count` files spread over folders of `each`, two levels deep; `size` says how long the next one is. */
function spread(tree: Tree, count: number, each: number, size: () => number): void {
  for (let i = 0; i < count; i++) {
    const folder = `d${number(Math.floor(i / (each * 64)))}/${number(Math.floor(i / each))}`
    if (i % each === 0) tree.folder(folder)
    tree.text(`${folder}/file-${number(i)}.txt`, size())
  }
}

const MAKERS = {
  /** 700 MB: 5,000 text files of 14 kB on average, 300 incompressible ones, three large half compressible ones. */
  mixed(tree, random, scale) {
    for (let i = 0; i < scaled(5000, scale); i++) {
      const folder = `text/${number(Math.floor(i / 50))}`
      if (i % 50 === 0) tree.folder(folder)
      tree.text(`${folder}/page-${number(i)}.html`, Math.round(Math.min(400_000, random.logNormal(14_000, 1))))
    }
    tree.folder('images')
    for (let i = 0; i < scaled(300, scale); i++)
      tree.noise(`images/photo-${number(i)}.jpg`, 200_000 + random.below(1_800_000))
    tree.folder('large')
    for (let i = 0; i < 3; i++) tree.alternating(`large/volume-${i}.bin`, scaled(100 * MB, scale))
  },
  /** 200,000 small files in 4,000 folders. */
  many(tree, random, scale) {
    spread(tree, scaled(200_000, scale), 50, () => Math.round(Math.min(20_000, random.logNormal(900, 1.2))))
  },
  /** 1,000,000 tiny or empty files in 10,000 folders. */
  million(tree, random, scale) {
    spread(tree, scaled(1_000_000, scale), 100, () => Math.max(0, random.below(60) - 20))
  },
  /** The same in one folder. */
  'million-flat'(tree, random, scale) {
    for (let i = 0; i < scaled(1_000_000, scale); i++)
      tree.text(`file-${number(i)}`, Math.max(0, random.below(60) - 20))
  },
  /** Four files of 1 GB that are nearly all hole. */
  sparse(tree, _random, scale) {
    for (let i = 0; i < 4; i++) tree.sparse(`disk-${i}.img`, scaled(1000 * MB, scale), 4)
  },
  /** 10 GB to read in ten names for one file of 1 GB: each is stored as a file of its own. */
  big(tree, _random, scale) {
    const size = scaled(1000 * MB, scale)
    tree.noise('volume-0.bin', size)
    for (let i = 1; i < 10; i++) tree.link(`volume-${i}.bin`, 'volume-0.bin', size)
  },
} as const satisfies Record<string, Make>

export type CorpusName = keyof typeof MAKERS
export const CORPORA = Object.keys(MAKERS) as readonly CorpusName[]

/** Where corpora and results lie unless told otherwise. */
export const benchRoot = (): string => process.env['RATCHET_BENCH'] ?? path.join(os.tmpdir(), 'ratchet-bench')

/** Makes a corpus, or finds it as it was made before: the same name, release and scale are the same bytes. */
export function makeCorpus(name: CorpusName, root = benchRoot(), scale = 1): Corpus {
  const folder = path.join(root, 'corpus', name)
  const stamp = `${folder}.json`
  const made = fs.existsSync(stamp) ? (JSON.parse(fs.readFileSync(stamp, 'utf8')) as Stamp) : null
  if (made?.release === RELEASE && made.scale === scale && fs.existsSync(folder)) return { ...made, path: folder }
  fs.rmSync(stamp, { force: true })
  fs.rmSync(folder, { recursive: true, force: true })
  const random = new Random(`ratchet/${name}`)
  const tree = new Tree(folder, random)
  MAKERS[name](tree, random, scale)
  const fresh: Stamp = { release: RELEASE, scale, files: tree.files, bytes: tree.bytes }
  fs.writeFileSync(stamp, JSON.stringify(fresh))
  return { ...fresh, path: folder }
}

interface Stamp {
  readonly release: number
  readonly scale: number
  readonly files: number
  readonly bytes: number
}

/** `node bench/corpus.ts [--root DIR] [--scale 0.1] NAME…` */
function main(): void {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { root: { type: 'string' }, scale: { type: 'string' } },
  })
  const unknown = positionals.filter((name) => !(CORPORA as readonly string[]).includes(name))
  if (unknown.length > 0 || positionals.length === 0) {
    console.error(`usage: corpus.ts [--root DIR] [--scale N] NAME…   names: ${CORPORA.join(', ')}`)
    process.exitCode = 2
    return
  }
  for (const name of CORPORA.filter((known) => positionals.includes(known))) {
    const corpus = makeCorpus(name, values.root ?? benchRoot(), Number(values.scale ?? 1))
    console.log(`${name}: ${corpus.files} files, ${Math.round(corpus.bytes / MB)} MB in ${corpus.path}`)
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) main()
