/** The word that was probably meant: at most two letters wrong, missing, too many or swapped; null if there is none. */
export function nearest(word: string, known: readonly string[]): string | null {
  const most = word.length < 5 ? 1 : 2
  const ranked = known
    .filter((one) => Math.abs(one.length - word.length) <= most)
    .map((one) => ({ one, far: distance(word.toLowerCase(), one.toLowerCase()) }))
    .filter(({ far }) => far <= most)
    .sort((a, b) => a.far - b.far)
  return ranked[0]?.one ?? null
}

/** Levenshtein's, with one row; both are short. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let k = 1; k <= b.length; k++) {
      const change = (row[k - 1] ?? 0) + (a[i - 1] === b[k - 1] ? 0 : 1)
      next.push(Math.min(change, (row[k] ?? 0) + 1, (next[k - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
