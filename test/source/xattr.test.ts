import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { realDisk } from '../../src/lib/disk.ts'
import { openDirectory, type DirectoryEnv } from '../../src/source/directory.ts'
import { findAttributeTools, parseDump, type AttributeTools } from '../../src/source/getfattr.ts'
import { fakeTools } from '../helpers/fake-getfattr.ts'
import { envFor } from '../helpers/source-env.ts'
import { makeTree, temporaryFolder, type Tree } from '../helpers/tree.ts'
import { collect, line, lines } from '../suites/source.ts'

let folder: ReturnType<typeof temporaryFolder>
let root: string
beforeEach(() => {
  folder = temporaryFolder()
  root = path.join(folder.path, 'src')
})
afterEach(() => folder[Symbol.dispose]())

function open(tree: Tree, env: Partial<DirectoryEnv>, xattrs = true) {
  makeTree(root, tree)
  return openDirectory({ type: 'directory', path: root, label: 'src', xattrs }, { ...envFor(), ...env })
}

const attributesOf = async (source: ReturnType<typeof open>): Promise<Record<string, unknown>> =>
  Object.fromEntries(
    (await collect(source)).flatMap((i) => (i.type === 'entry' && i.xattrs ? [[line(i), i.xattrs]] : [])),
  )

test('attributes come with their entries, whatever bytes the names hold', async () => {
  const names = ['a', 'a\uFFFDFF', 'a\uFFFD5Cb', 'a b', "a'b", 'a=b', 'b', '-a']
  const source = open(
    { ...Object.fromEntries(names.map((name) => [name, ''])), ad: { ax: '' } },
    { tools: fakeTools(folder.path) },
  )
  const found = await attributesOf(source)
  expect(Object.keys(found)).toEqual(
    expect.arrayContaining([
      'file src/a',
      'file src/a\uFFFDFF',
      'file src/a b',
      "file src/a'b",
      'file src/a=b',
      'dir src/ad',
      'file src/ad/ax',
    ]),
  )
  expect(found['file src/a']).toEqual({ 'user.name': Buffer.from('a').toString('base64'), 'user.empty': '' })
  expect(Object.keys(found)).not.toContain('file src/b')
})

test('switched off, no program is started', async () => {
  const tools = { xargs: '/nowhere', getfattr: '/nowhere' }
  expect(await lines(open({ a: '' }, { tools }, false))).toEqual(['dir src', 'file src/a'])
})

test('where the programs are missing the source says so once, quietly', async () => {
  expect(await lines(open({ a: '' }, { tools: null }))).toEqual([
    'omission src metadata_not_kept quiet',
    'dir src',
    'file src/a',
  ])
})

test('what could not be read of a file is said of that file', async () => {
  const source = open({ a: '', deepest: '', gone: '' }, { tools: fakeTools(folder.path) })
  expect(await lines(source)).toEqual([
    'dir src',
    'file src/a',
    'omission src/deepest metadata_not_kept',
    'file src/deepest',
    'file src/gone',
  ])
})

const BROKEN: readonly (readonly [string, (folder: string) => AttributeTools])[] = [
  ['cannot be started', () => ({ xargs: '/nowhere/xargs', getfattr: '/nowhere/getfattr' })],
  ['is not there for xargs', () => ({ xargs: '/usr/bin/xargs', getfattr: '/nowhere/getfattr' })],
  ['is killed', (at) => fakeTools(at, '#!/bin/sh\nkill -9 $$\n')],
]

test.each(BROKEN)('a program that %s costs the attributes, not the files', async (_, tools) => {
  const tree = Object.fromEntries(Array.from({ length: 200 }, (__, i) => [`f${i}`, '']))
  const found = await lines(open(tree, { tools: tools(folder.path) }))
  expect(found.filter((text) => text.startsWith('file'))).toHaveLength(200)
  expect(found.filter((text) => text.startsWith('omission'))).toEqual(['omission src metadata_not_kept'])
})

test('attributes too long for one answer are asked for again in halves', async () => {
  const script = `#!/bin/sh
while [ "$1" != "--" ]; do shift; done; shift
for f in "$@"; do case "$f" in big*) printf '# file: %s\\nuser.big=0s' "$f"; head -c 9000000 /dev/zero | tr '\\0' A; printf '\\n\\n';; esac; done
`
  const tree = Object.fromEntries(Array.from({ length: 6 }, (_, i) => [`big${i}`, '']))
  const found = await attributesOf(open(tree, { tools: fakeTools(folder.path, script) }))
  expect(Object.keys(found)).toHaveLength(6)
})

test('a program that hangs ends with the walk: aborted', async () => {
  const pids = path.join(folder.path, 'pids')
  const tools = fakeTools(folder.path, `#!/bin/sh\necho $$ >> ${pids}\nexec sleep 1000\n`)
  const stop = new AbortController()
  const run = collect(open({ a: '' }, { tools, signal: stop.signal }))
  while (!existsSync(pids)) await new Promise((resolve) => setTimeout(resolve, 5))
  stop.abort(new Error('enough'))
  await expect(run).rejects.toThrow('enough')
  for (const pid of readFileSync(pids, 'utf8').trim().split('\n')) await gone(Number(pid))
})

test('a program that looks ahead ends with the walk: left in the middle', async () => {
  const pids = path.join(folder.path, 'pids')
  const script = `#!/bin/sh\nfor f in "$@"; do case "$f" in x*) echo $$ >> ${pids}; exec sleep 1000;; esac; done\n`
  const tree = Object.fromEntries(Array.from({ length: 190 }, (_, i) => [`${i < 80 ? 'f' : 'x'}${i + 100}`, '']))
  for await (const item of open(tree, { tools: fakeTools(folder.path, script) }).items(null)) {
    while (!existsSync(pids)) await new Promise((resolve) => setTimeout(resolve, 5))
    if (item.type === 'entry') break
  }
  for (const pid of readFileSync(pids, 'utf8').trim().split('\n')) await gone(Number(pid))
})

async function gone(pid: number): Promise<void> {
  while (existsSync(`/proc/${pid}/exe`)) await new Promise((resolve) => setTimeout(resolve, 5))
}

describe('the output of getfattr 2.5.1', () => {
  // As printed for names with a newline, a byte that is not UTF-8, a backslash, and such attributes.
  const DUMP =
    '# file: plain\nuser.empty=0s\nuser.foo=0sYmFyAP8=\nuser.we\\075i\\134rd\\012\xfe=0sdg==\n\n' +
    '# file: new\\012line\nuser.foo=0sYmFyAP8=\n\n# file: bad\xff\nuser.foo=0s\n\n# file: back\\134slash\nuser.foo=""\n\n'

  test('is read back byte for byte', () => {
    const found = parseDump(Buffer.from(DUMP, 'latin1'))
    expect([...found.keys()]).toEqual(['plain', 'new\nline', 'bad\xff', 'back\\slash'])
    expect(found.get('plain')).toEqual({
      'user.empty': '',
      'user.foo': 'YmFyAP8=',
      'user.we=i\uFFFD5Crd\n\uFFFDFE': 'dg==',
    })
  })

  test('may be cut or garbage without harm', () => {
    for (let end = 0; end < DUMP.length; end++) parseDump(Buffer.from(DUMP.slice(0, end), 'latin1'))
    expect(parseDump(Buffer.from('no header=0sxx\n__proto__=0sYQ==\n')).size).toBe(0)
    const odd = parseDump(Buffer.from('# file: x\n__proto__=0sYQ==\n')).get('x') ?? {}
    expect(Object.keys(odd)).toEqual(['__proto__'])
  })
})

test('the programs are looked up by absolute path in the folders of the system', () => {
  expect(findAttributeTools(realDisk, ['/nowhere'])).toBeNull()
  const tools = findAttributeTools(realDisk)
  if (tools !== null) expect(existsSync(tools.getfattr)).toBe(true)
})
