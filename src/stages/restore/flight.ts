/**
 * Writes under way, with their sizes. A failure is kept and thrown at the next `room` or `landed`; nothing
 * of it is ever an unhandled rejection.
 */
export class Flight {
  readonly #flying = new Set<Promise<void>>()
  #bytes = 0
  #failure: { readonly error: unknown } | null = null

  /** `after`: done when the write has ended, well or not; must not throw. */
  add(written: Promise<void>, bytes: number, after: () => void): void {
    this.#bytes += bytes
    const flying = written
      .catch((error: unknown) => {
        this.#failure ??= { error }
      })
      .then(() => {
        this.#flying.delete(flying)
        this.#bytes -= bytes
        after()
      })
    this.#flying.add(flying)
  }

  /** Waits until no more than `most` bytes are under way. Throws what failed. */
  async room(most: number): Promise<void> {
    while (this.#bytes > most && this.#failure === null) await Promise.race(this.#flying)
    this.#check()
  }

  /** Waits until nothing is under way. Throws what failed. */
  async landed(): Promise<void> {
    await this.ended()
    this.#check()
  }

  /** The same, and never throws: for those who only want to close the handle. */
  async ended(): Promise<void> {
    while (this.#flying.size > 0) await Promise.all(this.#flying)
  }

  #check(): void {
    if (this.#failure !== null) throw this.#failure.error
  }
}
