/**
 * xoshiro128** seeded by splitmix32: the same numbers on every machine and in every release, fast
 * enough to write gigabytes. Not for secrets.
 */
export class Random {
  readonly #s = new Uint32Array(4)

  constructor(seed: string) {
    let h = 0x9e3779b9
    for (const char of seed) h = Math.imul(h ^ (char.codePointAt(0) ?? 0), 0x85ebca6b) ^ (h >>> 13)
    for (let i = 0; i < 4; i++) {
      h = (h + 0x9e3779b9) | 0
      let z = Math.imul(h ^ (h >>> 16), 0x21f0aaad)
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
      this.#s[i] = z ^ (z >>> 15)
    }
  }

  /** 32 random bits. */
  next(): number {
    const s = this.#s
    const [a = 0, b = 0, c = 0, d = 0] = s
    const x = Math.imul(b, 5)
    const result = Math.imul((x << 7) | (x >>> 25), 9) >>> 0
    const c2 = c ^ a
    const d2 = d ^ b
    s[1] = b ^ c2
    s[0] = a ^ d2
    s[2] = c2 ^ (b << 9)
    s[3] = (d2 << 11) | (d2 >>> 21)
    return result
  }

  /** In [0, 1). */
  unit(): number {
    return this.next() / 0x1_0000_0000
  }

  /** A whole number in [0, n). */
  below(n: number): number {
    return Math.floor(this.unit() * n)
  }

  /** Normally distributed, mean 0, deviation 1 (Box–Muller). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.unit()))
    return radius * Math.cos(2 * Math.PI * this.unit())
  }

  /** Log-normal with the given mean; `sigma` is the deviation of the logarithm. */
  logNormal(mean: number, sigma: number): number {
    return mean * Math.exp(sigma * this.normal() - (sigma * sigma) / 2)
  }

  /** Fills with bytes no compressor can shorten. The state lives in locals here: this is the hot loop. */
  fill(bytes: Uint8Array): void {
    const whole = bytes.length >>> 2
    const words = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    let [a = 0, b = 0, c = 0, d = 0] = this.#s
    for (let i = 0; i < whole; i++) {
      const x = Math.imul(b, 5)
      words.setUint32(i << 2, Math.imul((x << 7) | (x >>> 25), 9), true)
      const t = b << 9
      c ^= a
      d ^= b
      b ^= c
      a ^= d
      c ^= t
      d = (d << 11) | (d >>> 21)
    }
    this.#s.set([a, b, c, d])
    for (let i = whole << 2; i < bytes.length; i++) bytes[i] = this.next() & 0xff
  }
}
