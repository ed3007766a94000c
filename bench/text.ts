import { Random } from './random.ts'

const SYLLABLES =
  'ba be bo da de di ga ge ka ko la le li lo ma me mi mo na ne ni no pa pe ra re ri ro sa se si so ta te ti to va ve za zu'.split(
    ' ',
  )
const ENDINGS = [' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ', ', '. ', '.\n', '\n']

/**
 * Text that deflates like text: words of a made-up language drawn by Zipf's law, and now and then a
 * phrase said before, as in logs, markup and source code. Level 6 leaves about 0.3 of it.
 */
export class Prose {
  readonly #words: Buffer[] = []
  readonly #pick: Uint16Array

  constructor(seed: string, vocabulary = 6000) {
    const random = new Random(`${seed}/words`)
    for (let i = 0; i < vocabulary; i++) this.#words.push(Buffer.from(word(random)))
    this.#pick = zipf(vocabulary, 1 << 16)
  }

  /** Fills the whole of `out`. */
  fill(out: Buffer, random: Random): void {
    let at = 0
    while (at < out.length) {
      if (at > 600 && random.unit() < 0.05) at += repeat(out, at, random)
      else {
        const chosen = this.#words[this.#pick[random.next() & 0xffff] ?? 0]
        if (chosen === undefined) throw new Error('the vocabulary is empty')
        at += chosen.copy(out, at)
        at += out.write(ENDINGS[random.below(ENDINGS.length)] ?? ' ', at, 'latin1')
      }
    }
  }
}

function word(random: Random): string {
  let text = ''
  for (let n = 1 + random.below(4); n > 0; n--) text += SYLLABLES[random.below(SYLLABLES.length)] ?? ''
  return random.below(12) === 0 ? `<${text}>` : text
}

/** Ranks in proportion to 1/rank, as a table from which one random index draws. */
function zipf(ranks: number, size: number): Uint16Array {
  let sum = 0
  for (let rank = 1; rank <= ranks; rank++) sum += 1 / rank
  const table = new Uint16Array(size)
  let filled = 0
  let reached = 0
  for (let rank = 1; rank <= ranks; rank++) {
    reached += 1 / rank / sum
    const end = Math.min(size, Math.round(reached * size))
    table.fill(rank - 1, filled, end)
    filled = Math.max(filled, end)
  }
  return table
}

/** A phrase from the last 8 KiB once more. */
function repeat(out: Buffer, at: number, random: Random): number {
  const length = 20 + random.below(80)
  const from = at - Math.min(at, 200 + random.below(8000))
  return out.copy(out, at, from, Math.min(from + length, at))
}
