import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { BackupError } from '../lib/errors.ts'
import type { Mark } from './source.ts'

/**
 * A position in the walk: a path below the source and what has been handed over of it.
 *
 * `before`: a note about the path; the path itself comes next. `told`: a second note. `inside`: the folder's entry; its
 * content comes next. `listed`: the folder's entry and the complaint about its listing; what could be
 * listed comes next. `done`: all of it; its next sibling comes next.
 */
export type Phase = 'before' | 'told' | 'inside' | 'listed' | 'done'

export interface Position {
  readonly phase: Phase
  /** Relative to the source, raw bytes, `/`-separated; empty for the source itself. */
  readonly path: Buffer
}

const SIGN: Readonly<Record<Phase, string>> = { before: '<', told: '~', inside: '>', listed: '!', done: '=' }
const PHASE: ReadonlyMap<string, Phase> = new Map([
  ['<', 'before'],
  ['~', 'told'],
  ['>', 'inside'],
  ['!', 'listed'],
  ['=', 'done'],
])

/** Up to here a path is kept as it is; longer ones are deflated, since deep trees repeat themselves. */
const PLAIN = 4096
/** Longest path that is walked. Listing 8,000 nested levels already names 64 MB of paths; no honest tree comes near. */
const LONGEST = 16_384
/** Encoded length of a path; with a name of 255 bytes beside it a mark stays below 6,000. */
const ENCODED = 5550

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
// eslint-disable-next-line no-control-regex -- what JSON would write as an escape, which would double a mark's length
const ESCAPED = /["\\\u0000-\u001f]/

function plainText(bytes: Buffer): string | null {
  try {
    const text = strict.decode(bytes)
    return ESCAPED.test(text) ? null : text
  } catch {
    return null // not UTF-8: base64 holds any bytes
  }
}

function encode(path: Buffer): string {
  if (path.length > PLAIN) return 'z' + deflateRawSync(path).toString('base64')
  const text = plainText(path)
  return text === null ? 'b' + path.toString('base64') : 'u' + text
}

function decode(text: string): Buffer {
  const body = text.slice(1)
  if (text[0] === 'u') return Buffer.from(body, 'utf8')
  if (text[0] === 'b') return Buffer.from(body, 'base64')
  if (text[0] === 'z') return inflateRawSync(Buffer.from(body, 'base64'), { maxOutputLength: 4 * LONGEST })
  throw new Error(`unknown path encoding ${JSON.stringify(text.slice(0, 1))}`)
}

/** Whether a path below the source can be walked and resumed after. */
export function fitsMark(path: Buffer): boolean {
  return path.length <= PLAIN || (path.length <= LONGEST && encode(path).length <= ENCODED)
}

/** `path` must fit, or its parent must: then folder and name are kept apart. */
export function encodeMark(phase: Phase, path: Buffer): Mark {
  if (fitsMark(path)) return SIGN[phase] + encode(path)
  const cut = path.lastIndexOf(0x2f)
  return `${SIGN[phase]}s${encode(path.subarray(0, cut))} ${path.subarray(cut + 1).toString('base64')}`
}

/** STATE_DAMAGED if it is no mark of this source. */
export function decodeMark(mark: Mark): Position {
  const phase = PHASE.get(mark[0] ?? '')
  try {
    if (phase === undefined) throw new Error('unknown phase')
    if (mark[1] !== 's') return { phase, path: decode(mark.slice(1)) }
    const cut = mark.lastIndexOf(' ')
    const name = Buffer.from(mark.slice(cut + 1), 'base64')
    return { phase, path: Buffer.concat([decode(mark.slice(2, cut)), Buffer.from('/'), name]) }
  } catch (error) {
    throw new BackupError('STATE_DAMAGED', `the position in the source is damaged: ${mark.slice(0, 80)}`, {
      cause: error,
    })
  }
}
