import { expect, test } from 'vitest'
import { labelsFor } from '../../src/source/labels.ts'

test.each([
  [['/home/a/docs'], ['docs']],
  [['/home/a/docs/'], ['docs']],
  [['/'], ['root']],
  [['/x/..'], ['root']],
  [
    ['/a/docs', '/b/docs', '/c/docs'],
    ['docs', 'docs-2', 'docs-3'],
  ],
  [
    ['/a/docs', '/b/docs-2', '/c/docs'],
    ['docs', 'docs-2', 'docs-3'],
  ],
  [['/a/installation'], ['installation-2']],
  [['/a/new\nline'], ['new_line']],
  [['/a/C:x'], ['C_x']],
  [['/a/12:30'], ['12:30']],
])('%j → %j', (paths, labels) => {
  expect(labelsFor(paths.map((path) => ({ path })))).toEqual(labels)
})

test('a label asked for is kept, unless it is taken', () => {
  const sources = [
    { path: '/a', label: 'x' },
    { path: '/x' },
    { path: '/c', label: 'x' },
    { path: '/d', label: 'installation' },
  ]
  expect(labelsFor(sources)).toEqual(['x', 'x-2', 'x-3', 'installation-2'])
})

test.each(['', '.', '..', 'a/b', '/a', 'a\\b', 'a\0b', 'a\nb', 'a:b', '\ud800', 'x'.repeat(256)])(
  'the label %j is refused',
  (label) => {
    expect(() => labelsFor([{ path: '/a', label }])).toThrow(expect.objectContaining({ code: 'PROFILE_INVALID' }))
  },
)
