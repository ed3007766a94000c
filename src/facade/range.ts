/** Conditions and ranges of RFC 9110, for something whose strong entity tag is known. */

export interface Span {
  readonly from: number
  /** Behind the last byte. */
  readonly to: number
}

const UNIT = /^bytes=(.*)$/i
const SPEC = /^(?:(\d+)-(\d*)|-(\d+))$/

/**
 * What a Range asks of `size` bytes. `whole`: no range, or nothing that could be understood, which is as good as none.
 * `refused`: out of bounds or inverted, or several: nobody needs them, and answering many costs more than asking.
 */
export function spanOf(header: string | undefined, size: number): Span | 'whole' | 'refused' {
  const set = UNIT.exec(header ?? '')?.[1]
  if (set === undefined) return 'whole'
  const specs = set
    .split(',')
    .map((spec) => spec.trim())
    .filter((spec) => spec !== '')
  const [spec = ''] = specs
  if (!specs.every((one) => SPEC.test(one)) || specs.length === 0) return 'whole'
  return specs.length > 1 ? 'refused' : single(spec, size)
}

function single(spec: string, size: number): Span | 'refused' {
  const [, first, last, suffix] = SPEC.exec(spec) ?? []
  if (suffix !== undefined) {
    const length = Math.min(Number(suffix), size)
    return length === 0 ? 'refused' : { from: size - length, to: size }
  }
  const from = Number(first)
  const to = last === undefined || last === '' ? size : Math.min(Number(last) + 1, size)
  return from < to ? { from, to } : 'refused'
}

/** Whether a list of entity tags (If-None-Match, If-Match) holds this one. `weak`: as a weak one too. */
export function listsTag(header: string, etag: string, weak: boolean): boolean {
  const tags = header.trim() === '*' ? [etag] : (header.match(/(W\/)?"[^"]*"/g) ?? [])
  return tags.some((tag) => tag === etag || (weak && tag === `W/${etag}`))
}
