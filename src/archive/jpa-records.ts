/** The words of the JPA format, versions 1.0 to 1.3. Little-endian; no checksum, no directory, no end mark. */

/** "JPA": the archive's header, in its first part only. */
export const SIG_ARCHIVE = Buffer.from('JPA', 'latin1')
/** "JPF": an entity, that is an entry's description block; its data follows at once. */
export const SIG_ENTITY = Buffer.from('JPF', 'latin1')

/** Header without extras (all there is in 1.0), and a description block without path and extras. */
export const HEADER_SIZE = 19
export const ENTITY_SIZE = 21

/** Extras of the header: signature, u16 length of what follows the signature, payload. */
export const EXTRA_SPANNED = 0x01_01_50_4a // "JP" 01 01
export const EXTRA_TOTALS = 0x02_01_50_4a // "JP" 01 02
export const SPANNED_LENGTH = 4
export const TOTALS_LENGTH = 18
/** Extras of an entity: u16 id, u16 length of all of it, payload. */
export const EXTRA_TIME = 0x0100
export const EXTRA_SIZES = 0x0200
export const TIME_LENGTH = 8
export const SIZES_LENGTH = 20

export const TYPES = ['dir', 'file', 'symlink'] as const
export const COMPRESSION = { store: 0, deflate: 1, bzip2: 2 } as const

/** Where readers look for the header: something else may lie before it. Bytes. */
export const HEADER_WITHIN = 128 << 10
/** Sizes also stand as 32 bits, of which larger ones keep the lower ones. */
export const MODULO = 2 ** 32
export const MOST_PARTS = 0xffff
