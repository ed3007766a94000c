/**
 * Joining CRC-32 values without the bytes, after zlib's crc32_combine: appending n bytes multiplies
 * the CRC by x^(8n) modulo the polynomial. Numbers are reflected: bit 31 is the coefficient of x^0.
 */
const POLYNOMIAL = 0xedb88320
const ONE = 0x80000000

/** a · b modulo the polynomial. */
function multiply(a: number, b: number): number {
  let product = 0
  let factor = b
  for (let bit = ONE; bit !== 0; bit >>>= 1) {
    if ((a & bit) !== 0) product ^= factor
    factor = (factor & 1) !== 0 ? (factor >>> 1) ^ POLYNOMIAL : factor >>> 1
  }
  return product >>> 0
}

/** x^(2^k); the powers repeat after 32. */
const SQUARES: readonly number[] = (() => {
  const squares = [0x40000000]
  while (squares.length < 32) {
    const last = squares[squares.length - 1] ?? ONE
    squares.push(multiply(last, last))
  }
  return squares
})()

/** x^(8 · bytes). */
function shiftBy(bytes: number): number {
  let power = ONE
  for (let k = 3, rest = bytes; rest > 0; k++, rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) power = multiply(SQUARES[k % 32] ?? ONE, power)
  }
  return power
}

const BLOCK = 1 << 20
const BLOCK_SHIFT = shiftBy(BLOCK)

/** CRC-32 of A followed by B, from the CRC of each (seed 0) and the length of B in bytes. */
export function crcCombine(crc1: number, crc2: number, len2: number): number {
  const shift = len2 === BLOCK ? BLOCK_SHIFT : shiftBy(len2)
  return (multiply(shift, crc1 >>> 0) ^ crc2) >>> 0
}
