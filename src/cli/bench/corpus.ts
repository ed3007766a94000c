import { writeFully, type Disk } from '../../lib/disk.ts'

/** Files to measure with, the same at every run: a quarter in small texts, the rest in larger files of which half can be compressed. */

const MiB = 1024 * 1024
const SMALL = 16 * 1024
const LARGE = 8 * MiB
const PER_FOLDER = 500

export interface Corpus {
  files: number
  bytes: number
}

/**
 * Fills an empty folder with about `size` bytes. Pauses now and then, so that signals are heard; ends early when the
 * signal aborts.
 */
export async function makeCorpus(disk: Disk, folder: string, size: number, signal: AbortSignal): Promise<Corpus> {
  const corpus: Corpus = { files: 0, bytes: 0 }
  const put = (path: string, bytes: Uint8Array): void => {
    const fd = disk.open(path, 'create')
    try {
      writeFully(disk, fd, bytes, 0)
    } finally {
      disk.close(fd)
    }
    corpus.files++
    corpus.bytes += bytes.length
  }
  const random = xorshift(20_260_629)
  const text = textOf(random, MiB)
  const noise = noiseOf(random, MiB)
  let parent = folder
  while (corpus.bytes < size / 4 && !signal.aborted) {
    if (corpus.files % PER_FOLDER === 0) {
      parent = `${folder}/texts-${corpus.files / PER_FOLDER}`
      disk.mkdir(parent, 0o700)
      await turn()
    }
    const length = 1 + (random() % (2 * SMALL))
    put(`${parent}/text-${corpus.files}.txt`, slice(text, random(), length))
  }
  while (corpus.bytes < size && !signal.aborted) {
    const kind = corpus.files % 2 === 0 ? text : noise
    const blocks = Array.from({ length: Math.ceil(Math.min(LARGE, size - corpus.bytes) / MiB) }, () =>
      slice(kind, random(), MiB),
    )
    put(`${folder}/large-${corpus.files}.bin`, Buffer.concat(blocks).subarray(0, size - corpus.bytes))
    await turn()
  }
  return corpus
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function xorshift(seed: number): () => number {
  let x = seed
  return () => {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    return (x >>>= 0)
  }
}

/** So many bytes of it, begun anywhere and going round. */
function slice(bytes: Buffer, from: number, length: number): Buffer {
  const at = from % bytes.length
  const first = bytes.subarray(at, at + length)
  return first.length === length ? first : Buffer.concat([first, bytes.subarray(0, length - first.length)])
}

const WORDS = 'backup archive folder page image order customer price shop of and the in to with from is not'.split(' ')

function textOf(random: () => number, length: number): Buffer {
  const words: string[] = []
  for (let size = 0; size < length;) {
    const word = random() % 5 === 0 ? String(random() % 100_000) : (WORDS[random() % WORDS.length] ?? '')
    words.push(word)
    size += word.length + 1
  }
  return Buffer.from(words.join(' ')).subarray(0, length)
}

function noiseOf(random: () => number, length: number): Buffer {
  const words = new Uint32Array(length / 4)
  for (let i = 0; i < words.length; i++) words[i] = random()
  return Buffer.from(words.buffer)
}
