/** A small typed emitter. A listener that throws never reaches the one who emits. */
export class Events<Map extends object> {
  readonly #listeners: { [K in keyof Map]?: Set<(value: Map[K]) => void> } = {}
  readonly #onError: (error: unknown) => void

  constructor(onError: (error: unknown) => void = (error) => console.error('listener failed:', error)) {
    this.#onError = onError
  }

  /** Returns the function that unsubscribes. */
  on<K extends keyof Map>(name: K, listener: (value: Map[K]) => void): () => void {
    const set = (this.#listeners[name] ??= new Set())
    set.add(listener)
    return () => void set.delete(listener)
  }

  emit<K extends keyof Map>(name: K, value: Map[K]): void {
    for (const listener of this.#listeners[name] ?? []) {
      try {
        listener(value)
      } catch (error) {
        this.#onError(error)
      }
    }
  }
}
