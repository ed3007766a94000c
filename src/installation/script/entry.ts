/** One entry as its archive describes it. */
export interface Item {
  /** Path as raw bytes, without trailing slash. */
  readonly name: Buffer
  readonly kind: 'file' | 'dir' | 'symlink'
  /** Permission bits and the three special ones. */
  readonly mode: number
  /** Seconds since 1970. */
  readonly mtime: number
  readonly size: number
  readonly stored: number
  readonly deflated: boolean
  /** Null where the format has none. */
  readonly crc: number | null
  /** Global offset of its header; content begins behind it, `headerLength` bytes later (null: the header tells). */
  readonly offset: number
  readonly headerLength: number | null
  /** Why nothing is to be written for it. */
  readonly refused: string | null
}
