import { afterAll, expect, test } from 'vitest'
import { runProgram, startProgram, streamProgram } from '../../src/lib/program.ts'
import { temporaryFolder } from '../helpers/tree.ts'

const folder = temporaryFolder()
afterAll(() => folder[Symbol.dispose]())
const LIMITS = { timeoutMs: 20_000, maxBuffer: 1000 }

const WAYS = [
  [
    'to the end',
    async (args: readonly string[], options: object = {}) => runProgram('/bin/sh', args, { ...LIMITS, ...options }),
  ],
  [
    'beside us',
    (args: readonly string[], options: object = {}) => startProgram('/bin/sh', args, { ...LIMITS, ...options }).result,
  ],
] as const

for (const [name, run] of WAYS) {
  test(`${name}: output, messages and exit code come back as they are`, async () => {
    const done = await run(['-c', 'cat; echo oops >&2; exit 7'], { input: Buffer.from([0, 255, 10]) })
    expect(done).toEqual({ stdout: Buffer.from([0, 255, 10]), stderr: Buffer.from('oops\n'), code: 7, overflow: false })
  })

  test(`${name}: arguments are not read by a shell, and the environment tells nothing`, async () => {
    const done = await run(['-c', 'printf "%s|" "$@"; env', 'sh', '$(id)', '; id', '`id`'], { cwd: folder.path })
    const [first, ...rest] = done.stdout.toString().split('\n')
    expect(first).toMatch(/^\$\(id\)\|; id\|`id`\|/)
    const names = [first?.split('|').at(-1), ...rest].map((text) => text?.split('=')[0]).filter((text) => text !== '')
    expect(names.toSorted()).toEqual(expect.arrayContaining(['LC_ALL', 'PATH']))
    expect(names.filter((text) => !['LC_ALL', 'PATH', 'PWD', 'OLDPWD', '_', 'SHLVL'].includes(text ?? ''))).toEqual([])
  })

  test(`${name}: too much output ends the program`, async () => {
    expect(await run(['-c', 'while :; do echo x; done'])).toMatchObject({ code: null, overflow: true })
  })

  test(`${name}: so does the time limit`, async () => {
    expect(await run(['-c', 'exec sleep 1000'], { timeoutMs: 50 })).toMatchObject({ code: null, overflow: false })
  })

  test(`${name}: a program that does not read its input is no error`, async () => {
    expect(await run(['-c', 'exit 3'], { input: Buffer.alloc(1 << 20) })).toMatchObject({ code: 3 })
  })
}

test('a program that is not there is an error of the system', async () => {
  expect(() => runProgram('/nowhere/x', [], LIMITS)).toThrow(expect.objectContaining({ code: 'ENOENT' }))
  await expect(startProgram('/nowhere/x', [], LIMITS).result).rejects.toMatchObject({ code: 'ENOENT' })
})

test('so is a working folder that is none, told the same way', async () => {
  const running = startProgram('/bin/sh', ['-c', 'exit 0'], { ...LIMITS, cwd: '/dev/null' })
  await expect(running.result).rejects.toMatchObject({ code: 'ENOTDIR' })
  running[Symbol.dispose]()
})

test('disposing ends it', async () => {
  const running = startProgram('/bin/sh', ['-c', 'exec sleep 1000'], LIMITS)
  running[Symbol.dispose]()
  expect(await running.result).toMatchObject({ code: null })
})

test('as a stream: any length of output, at the pace of whoever reads it, and its end after it', async () => {
  using running = streamProgram('/bin/sh', ['-c', 'head -c 3000000 /dev/zero; env >&2; exit 3'], {
    timeoutMs: 20_000,
    env: { ONLY: 'this' },
  })
  let length = 0
  for await (const bytes of running.output) length += bytes.length
  const { code, stderr } = await running.end
  expect([length, code]).toEqual([3_000_000, 3])
  expect(stderr).toContain('ONLY=this')
  expect(stderr).not.toContain('HOME=')
})

test('as a stream: it ends when it is left, when its time is over, and not at all if there is none', async () => {
  const endless = (timeoutMs: number) => streamProgram('/bin/sh', ['-c', 'while :; do echo x; done'], { timeoutMs })
  const left = endless(20_000)
  for await (const bytes of left.output) if (bytes.length > 0) break
  left[Symbol.dispose]()
  expect((await left.end).code).toBeNull()
  using limited = endless(100)
  await expect(limited.end).resolves.toMatchObject({ code: null })
  using none = streamProgram('/nowhere/program', [], { timeoutMs: 1000 })
  const read = async (): Promise<void> => {
    for await (const bytes of none.output) expect(bytes).toBeNull()
  }
  await expect(read()).rejects.toMatchObject({ code: 'ENOENT' })
  await expect(none.end).rejects.toMatchObject({ code: 'ENOENT' })
})
