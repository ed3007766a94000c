/**
 * Runs `work` over the items with at most `width` in flight and delivers the results in the items'
 * order. An item is taken only when there is room, so memory stays bounded by `width`. The first
 * failure in order is thrown at its turn; leaving early waits for what is in flight, so that nothing
 * of it runs on behind the caller's back.
 */
export async function* ordered<T, R>(
  items: Iterable<T> | AsyncIterable<T>,
  width: number,
  work: (item: T) => Promise<R>,
): AsyncGenerator<R, void, undefined> {
  const iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]()
  const flying: Promise<R>[] = []
  let ended = false
  try {
    for (;;) {
      while (!ended && flying.length < Math.max(1, width)) {
        const next = await iterator.next()
        if (next.done === true) ended = true
        else flying.push(begin(work, next.value))
      }
      const first = flying.shift()
      if (first === undefined) return
      yield await first
    }
  } finally {
    await Promise.allSettled(flying)
    if (!ended) await iterator.return?.()
  }
}

/** A failure waits for its turn: marked as handled here, thrown where the result is awaited. */
function begin<T, R>(work: (item: T) => Promise<R>, item: T): Promise<R> {
  const running = new Promise<R>((resolve) => resolve(work(item)))
  running.catch((error: unknown) => error)
  return running
}
