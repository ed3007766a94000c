import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { identifier, literal, shown } from '../../src/dump/postgres/identifier.ts'
import { readingOf } from '../../src/dump/postgres/keyset.ts'
import { RowBlocks } from '../../src/dump/postgres/row-blocks.ts'
import { orderFileOf } from '../../src/dump/postgres/script.ts'
import { SqlBlocks } from '../../src/dump/postgres/sql-blocks.ts'
import { LONGEST_ROW, type SqlBlock } from '../../src/dump/sql-dump.ts'
import { keep, rowsIn, type Kept } from './postgres-fixture.ts'

/** Text through blocks of `size`, in pieces of `piece`. */
function packed(text: string, size: number, piece = text.length, leaveOut?: (text: Buffer) => boolean): Kept[] {
  const blocks = new SqlBlocks({ lend: () => Buffer.alloc(size, 'x'), ...(leaveOut ? { leaveOut } : {}) })
  const found: Kept[] = []
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += piece)
    for (const block of blocks.add(bytes.subarray(at, at + piece))) found.push(keep(block))
  const last = blocks.end()
  return last === null ? found : [...found, keep(last)]
}

const ONE = 'CREATE TABLE a (b text);\n\n\n'

describe('definitions in blocks', () => {
  test('end where statements do', () => {
    for (const piece of [1, 7, 1000]) {
      const blocks = packed(ONE.repeat(20), 100, piece)
      expect(blocks.every(({ text, safe }) => safe && /^(CREATE TABLE a \(b text\);\n\n\n)+\s*$/.test(text))).toBe(true)
      expect(blocks.slice(0, -1).every(({ length }) => length === 100)).toBe(true)
      expect(
        blocks
          .map(({ text }) => text)
          .join('')
          .match(/CREATE/g),
      ).toHaveLength(20)
    }
  })

  test('a longer statement goes on through several', () => {
    const long = `CREATE VIEW v AS SELECT '${'x;\n\n\n'.repeat(60)}';\n\n\n`
    const blocks = packed(ONE + long + ONE, 100, 13)
    expect(blocks.map(({ safe }) => safe)).toEqual([true, ...Array.from({ length: 3 }, () => false), true])
    expect(
      blocks
        .map(({ text }) => text)
        .join('')
        .replaceAll(/ *\n(?=CREATE VIEW)/g, '\n'),
    ).toContain(long.trim())
  })

  test.each([
    ['a text', "SELECT '\\! id';"],
    ['a text with quotes', "SELECT 'it''s \\! id', '\\';"],
    ['a text with escapes', "SELECT E'it\\'s \\\\! id \\\\', e'''\\! id';"],
    ['a name', 'SELECT "\\! i""d";'],
    ['a name that ends like a mark', "SELECT somE'\\';"],
    ['a body', 'AS $f$ \\! id $ff$ $f$;'],
    ['a body without a name', "AS $$ \\! id ' $a$ $$;"],
    ['a parameter before', "SELECT $1, a$b$c, '\\! id';"],
    ['a comment', "-- it's \\! id\nSELECT 1;"],
    ['a comment in a comment', "/* \\! /* ' */ \\! id /*/ */ */ */ SELECT '\\';"],
    ['an operator', "SELECT 1 - -1 * 2 / 3, '\\';"],
    ['what pg_dump writes', '\\restrict abcXYZ09\nSELECT 1;\n\\unrestrict abcXYZ09\n'],
  ])('are let through: %s', (_, sql) => {
    for (const piece of [1, 3, 1000]) {
      const text = packed(`${sql}\n\n\n${ONE}`, 1000, piece).map((block) => block.text)
      expect(text.join('').replace(/^\s+/, '')).toContain(sql.replaceAll(/^\\.*\n/gm, '').trim())
      expect(text.join('')).not.toContain('restrict')
    }
  })

  test.each([
    ['a command', '\\! id\n'],
    ['behind a statement', 'SELECT 1; \\! id\n'],
    ['in the middle of a line', "SELECT 'a' \\g |id\n"],
    ['behind a text', "SELECT 'a''' \\! id\n"],
    ['behind a text that does not end so', "SELECT 'a\\' \\! id\n"],
    ['behind a name', 'SELECT "a""" \\! id\n'],
    ['behind a body', "AS $a$ $b$ ' $a$ \\! id\n"],
    ['behind a comment', '/* /* */ */ \\! id\n'],
    ['behind a comment like another', '/*/ */ \\! id\n'],
    ['behind a line of comment', '-- x\n\\! id\n'],
    ['behind a text in pieces', "SELECT E'a'\n 'b\\' \\! id --'\n"],
    ['dressed up', '\\restrict a b\n'],
    ['dressed up at length', `\\restrict ${'a'.repeat(5000)}\n`],
    ['without an end', "SELECT 'a"],
  ])('are refused with a command for psql: %s', (_, sql) => {
    for (const piece of [1, 3, 1000]) {
      expect(() => packed(ONE + sql, 1000, piece)).toThrow(expect.objectContaining({ code: 'DATABASE_FAILED' }))
    }
  })

  test('and one of them can be left out', () => {
    const blocks = packed(`${ONE}DROP it;\n\n\n${ONE}`, 1000, 5, (text) => text.includes('DROP'))
    expect(blocks.map(({ text }) => text).join('')).toBe(ONE + ONE)
  })
})

const READING = readingOf({
  schema: 's',
  table: 't',
  columns: ['v', 'k', 'l'],
  key: [
    { name: 'k', type: ['pg_catalog', 'text'], collation: ['pg_catalog', 'C'] },
    { name: 'l', type: ['pg_catalog', 'int4'], collation: null },
  ],
  condition: '',
  digest: 'd',
})

function rowBlocks(rows: readonly string[], size: number, lengths = rows.map((row) => row.length)): Kept[] {
  const header = Buffer.from('COPY "t" FROM stdin;\n')
  const markOf = (row: Buffer) => READING.markOf(row)
  const blocks = new RowBlocks({ lend: () => Buffer.alloc(size, 'x'), header, table: 's.t', markOf, keyed: true })
  const found: SqlBlock[] = []
  const fetch = (): void => {
    const block = blocks.fetch()
    if (block !== null) found.push(block)
  }
  for (const [i, row] of rows.entries()) {
    while (!blocks.begin(lengths[i] ?? 0)) fetch()
    const bytes = Buffer.from(row, 'latin1')
    for (let at = 0; at < bytes.length; fetch()) at = blocks.take(bytes, at, bytes.length)
  }
  fetch()
  const last = blocks.end()
  return [...found, ...(last === null ? [] : [last])].map(keep)
}

describe('rows in blocks', () => {
  test('come out as they went in, whatever their lengths are', () => {
    const row = fc.tuple(fc.nat(200), fc.nat(1000)).map(([n, id]) => `${'k'.repeat(n)}\t${id}\tx`)
    fc.assert(
      fc.property(fc.array(row, { maxLength: 40 }), fc.integer({ min: 30, max: 300 }), (rows, size) => {
        const blocks = rowBlocks(
          rows.map((one) => `${one}\n`),
          size,
        )
        expect(rowsIn(blocks)).toEqual(rows)
        expect(blocks.slice(0, -1).every(({ length }) => length === size)).toBe(true)
        // What stands before a block that is safe is whole, and so is the rest.
        let seen = 0
        for (const [i, block] of blocks.entries()) {
          seen += block.rows
          if (!block.safe) continue
          expect(rowsIn(blocks.slice(0, i + 1))).toHaveLength(seen)
          expect(rowsIn(blocks.slice(i + 1))).toHaveLength(rows.length - seen)
          if (block.mark !== null) expect(block.mark).toEqual(['d', ...(rows[seen - 1] ?? '').split('\t').slice(0, 2)])
        }
      }),
    )
  })

  test.each([
    ['that ends the rows', ['\\.\n']],
    ['with another line in it', ['a\t1\tb\n\\! id\n']],
    ['without an end', ['a\t1\tb']],
    ['that is a command for psql', ['a\t1\tb\n', '\\.\n\\! id\n']],
    ['that begins as the end', [`\\.${'x'.repeat(500)}\n`]],
  ])('are refused with one %s', (_, rows) => {
    expect(() => rowBlocks(rows, 100)).toThrow(expect.objectContaining({ code: 'DATABASE_FAILED' }))
  })

  test('are refused with one beyond the limit before it is read', () => {
    expect(() => rowBlocks(['x'], 100, [LONGEST_ROW + 1])).toThrow(expect.objectContaining({ code: 'LIMIT_EXCEEDED' }))
  })
})

describe('text in SQL and in psql', () => {
  test('the key of a row is its text again', () => {
    expect(READING.markOf(Buffer.from('a\\tb\\\\\\n\\b\\f\\r\\v\t-5\tmore\n'))).toEqual(['d', 'a\tb\\\n\b\f\r\v', '-5'])
    expect(READING.markOf(Buffer.from('abc'))).toBeNull()
    expect(READING.markOf(Buffer.from(`${'k'.repeat(5000)}\t1\n`))).toBeNull()
  })

  test('and stands quoted in the next question', () => {
    expect(READING.select(['d', "it's\\", '1); DROP'])).toBe(
      `COPY (SELECT "k", "l", "v" FROM ONLY "s"."t"  WHERE ROW("k" COLLATE "pg_catalog"."C", "l") OPERATOR(pg_catalog.>) ` +
        `ROW('it''s\\'::"pg_catalog"."text", '1); DROP'::"pg_catalog"."int4") ORDER BY "k" COLLATE "pg_catalog"."C", "l") TO STDOUT`,
    )
    expect(() => READING.select(['e', 'x', '1'])).toThrow(expect.objectContaining({ code: 'SOURCE_CHANGED' }))
    expect(() => READING.select(['d', 'x'])).toThrow(RangeError)
  })

  test('names are quoted, or are none', () => {
    expect(identifier('a"; DROP TABLE b; --\n')).toBe('"a""; DROP TABLE b; --\n"')
    expect(literal("it's \\")).toBe("'it''s \\'")
    for (const name of ['', 'a\0b', '\ud800', 'x'.repeat(300)])
      expect(() => identifier(name)).toThrow(expect.objectContaining({ code: 'BAD_REQUEST' }))
    expect([shown('public', 'orders'), shown('a.b', 'c'), shown('a', 'b.c')]).toEqual([
      'public.orders',
      '"a.b".c',
      'a."b.c"',
    ])
  })

  test('files are named so that psql finds them and runs nothing', () => {
    const file = orderFileOf(["it's\\.sql", 'a\n\\! id', '`id`:x'])
    expect(file.split('\n').slice(3)).toEqual(["\\ir 'it''s\\134.sql'", "\\ir 'a\\012\\134! id'", "\\ir '`id`:x'", ''])
  })
})
