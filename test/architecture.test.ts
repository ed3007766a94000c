import { globSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { functionsOf, importsOf, places, resolveImport, source, type Source } from './helpers/source-rules.ts'

/** Who may import what, besides its own folder; and why. A folder, or one file of it. */
const LAYERS: readonly (readonly [from: string, to: string, why: string])[] = [
  ['archive', 'lib', 'formats are pure: bytes in, bytes out; they know no job'],
  ['engine', 'lib', 'the engine knows no format, no wire, no stage: it is handed a list'],
  ['storage', 'lib', 'where finished bytes go knows nobody who sends them'],
  ['access', 'lib', 'tokens and roles stand alone'],
  ['access', 'engine/services.ts', 'types: the words facades see'],
  ['source', 'lib', 'a source reads files'],
  ['source', 'engine/spec.ts', 'types: what was asked for'],
  ['source', 'engine/stage.ts', 'types: what a resumable part may ask for'],
  ['sink', 'lib', 'a sink writes work files'],
  ['sink', 'archive', 'it drives a format'],
  ['sink', 'source/source.ts', 'types: the entries it is fed'],
  ['sink', 'engine/spec.ts', 'types: how files are packed'],
  ['sink', 'engine/stage.ts', 'types: what a resumable part may ask for'],
  ['stages', 'lib', 'stages read and write work files'],
  ['dump', 'lib', 'a dumper is a process of its own and knows no job'],
  ['load', 'lib', 'what loads a dump knows no job'],
  ['load', 'dump', 'the way back of a dump: the same servers, connections and names'],
  ['stages', 'dump/dumper.ts', 'types: the dumper itself arrives through the factory'],
  ['stages', 'dump/sql-dump.ts', 'types: what a database of a server is asked for'],
  ['stages', 'dump/text-blocks.ts', 'the order file is cut like any other'],
  ['stages', 'engine/stage.ts', 'types: what a stage is'],
  ['stages', 'engine/spec.ts', 'types: what was asked for'],
  ['stages', 'engine/job.ts', 'types: the words of warnings and parts'],
  ['stages', 'engine/retention.ts', 'the policy is a pure function'],
  ['stages', 'engine/shelf.ts', 'types: older backups; the shelf arrives through the factory'],
  ['stages', 'engine/restore-preview.ts', 'what a dry run finds, and how it is listed'],
  ['stages', 'engine/json.ts', 'types: plain JSON in lists'],
  ['stages', 'engine/services.ts', 'types: what an artifact is called'],
  ['stages', 'sink/sink.ts', 'types: the sink itself arrives through the factory'],
  ['stages', 'sink/part-writer.ts', 'the names of parts in the record'],
  ['stages', 'source/source.ts', 'types: sources arrive through the factory'],
  ['stages', 'archive', 'restore and verify read archives; the reader arrives through the factory'],
  ['contents', 'lib', 'it reads files'],
  ['contents', 'archive', 'it lists archives and unpacks what is asked for'],
  ['contents', 'engine/archives.ts', 'types: the words facades see'],
  ['contents', 'engine/services.ts', 'types: which files a backup has'],
  ['installation', 'lib', 'it reads its own script'],
  ['settings', 'lib', 'settings are durable files'],
  ['settings', 'engine/services.ts', 'types: it implements Profiles and Roots'],
  ['settings', 'engine/spec.ts', 'types: what a profile becomes'],
  ['settings', 'engine/profile-schema.ts', 'the one schema of a profile'],
  ['settings', 'engine/database-schema.ts', 'the one schema of a database and its server'],
  ['facade', 'lib', 'errors and clock'],
  ['facade', 'engine/services.ts', 'types: all that a facade sees'],
  ['facade', 'engine/database-tests.ts', 'which databases of a profile are tried out, and how it is told'],
  ['cli', 'engine/database-tests.ts', 'the same'],
  ['facade', 'engine/job.ts', 'views are functions of the record'],
  ['facade', 'engine/spec.ts', 'types: what may be asked for'],
  ['facade', 'engine/stage.ts', 'types: the names of stages and domains, for total tables'],
  ['facade', 'engine/profile-schema.ts', 'the one schema of a profile'],
  ['facade', 'engine/profile-document.ts', 'the one form of an exported profile'],
  ['cli', 'engine/profile-document.ts', 'the same'],
  ['client', 'lib/errors.ts', 'the codes; a client is for others to import and drags nothing in'],
  ['client', 'lib/clock.ts', 'waiting through the door of time'],
  ['cli', 'lib', 'the words of errors, the clock'],
  ['cli', 'client', 'backups on a server'],
  ['cli', 'engine/services.ts', 'types: one interface for embedded and remote runs'],
  ['cli', 'engine/job.ts', 'types and outcome(): the final object'],
  ['cli', 'engine/spec.ts', 'types: what may be asked for'],
  ['cli', 'app.ts', 'embedded runs'],
  ['cli', 'step-thread.ts', 'it is started before the rest is loaded'],
  ['cli', 'engine/profile-schema.ts', 'the one schema of a profile'],
  ['cli', 'settings/profiles-json-schema.ts', 'the file for editors'],
  ['cli', 'settings/settings.ts', 'the default port'],
  ['cli', 'installation/script.ts', 'the script, for those who cannot get at it'],
  ['cli', 'version.ts', 'what --version prints'],
]

/** The composition root: the only files that know every folder. */
const ROOT =
  /^(app|main|index|registry|open-dump|step-parts|restore-parts|step-loop|step-thread|contents-loop|version)\.ts$/

function layerFaults(file: Source): string[] {
  const from = file.path.split('/')
  return importsOf(file).flatMap((name) => {
    const to = resolveImport(file.path, name)
    if (!name.startsWith('.')) return []
    const own = from.length > 1 && to.startsWith(`${from[0]}/`)
    const otherFacade = from[0] === 'facade' && from.length > 2 && own && to.split('/').length > 2
    if (otherFacade && to.split('/')[1] !== from[1]) return [`${file.path} → ${to}: facades never import each other`]
    if (own || ROOT.test(file.path)) return []
    const allowed = LAYERS.some(([a, b]) => a === from[0] && (to === b || to.startsWith(`${b}/`)))
    return allowed ? [] : [`${file.path} → ${to}`]
  })
}

/** What goes through one door only. */
/** A program of its own, for a machine without this one. */
const SCRIPT = /^installation\/script\//

const DOORS: readonly (readonly [what: RegExp, where: 'import' | 'code', files: RegExp, why: string])[] = [
  [/^(node:)?fs(\/promises)?$/, 'import', /^lib\/disk\.ts$/, 'a test can stop the world at every file call'],
  [/^(node:)?child_process$/, 'import', /^lib\/(program|node-child)\.ts$/, 'no shell, bounded time, bounded output'],
  [
    /^(node:)?worker_threads$/,
    'import',
    /^(step-loop|contents-loop|contents\/threads|lib\/thread|archive\/codec(-[a-z]+)?|dump\/copy-loop)\.ts$/,
    'threads are the business of few places, and started in one way',
  ],
  [/\bDate\.now\b|\bperformance\.now\b|\bnew Date\(\)|\bhrtime\b/g, 'code', /^lib\/clock\.ts$/, 'time can be replaced'],
  [/^express$|^helmet$|^json-rpc-2\.0$/, 'import', /^facade\//, 'wires stay at the edge'],
  [/^commander$|^cli-progress$/, 'import', /^cli\//, 'the command line stays at the edge'],
  [
    /^node:sqlite$/,
    'import',
    /^(dump|engine)\//,
    'databases are opened in a process of their own, but for our own lists',
  ],
  [/^pino$/, 'import', /^lib\/logger\.ts$/, 'one shape for all logs, and nothing into them past the redactor'],
  [/^picomatch$/, 'import', /^lib\//, 'one kind of pattern everywhere'],
]

function doorFaults(file: Source): string[] {
  if (SCRIPT.test(file.path)) return importsOf(file).filter((name) => !/^node:|^\.\/[\w-]+\.ts$/.test(name))
  return DOORS.filter(([, , files]) => !files.test(file.path)).flatMap(([what, where]) =>
    where === 'code'
      ? places(file, what, 'code')
      : importsOf(file).flatMap((name) => (what.test(name) ? [`${file.path} imports ${name}`] : [])),
  )
}

/** What stands nowhere. In the code, or in comments too. */
const BANS: readonly (readonly [what: RegExp, where: 'code' | 'text', why: string])[] = [
  [/(?<=[:<|&,]\s*|\bas |\bextends |\btype \w+ = )any\b(?!\s*:)/g, 'code', 'unknown, and a check'],
  [/@ts-(ignore|nocheck|expect-error)/g, 'text', 'the types are part of the proof'],
  [
    /\bcatch\s*(\([^)]*\))?\s*\{\s*\}|\.catch\(\s*\([^)]*\)\s*=>\s*(\{\s*\}|undefined)\s*\)/g,
    'code',
    'say what is done about it',
  ],
  [/\b(TODO|FIXME|XXX|HACK)\b/g, 'text', 'finish it, or write an issue'],
  [/(?<![.\w#])(exec|execSync|eval)\(|\bnew Function\(/g, 'code', 'no shell, no code from data'],
  [/\bshell:\s*true/g, 'code', 'no shell'],
  [/\bMath\.random\b/g, 'code', 'identifiers come from node:crypto'],
  [/\b(inner|outer)HTML\b|\binsertAdjacentHTML\b/g, 'code', 'text is text'],
  [/\.startsWith\(\s*\w*(root|Root|ROOT)\w*\s*\)/g, 'code', '/srv/www is not the root of /srv/www-data'],
  [/\brejectUnauthorized:\s*false/g, 'code', 'certificates are checked'],
]

const banFaults = (file: Source): string[] => BANS.flatMap(([what, where]) => places(file, what, where))

const MOST_LINES = 300
const MOST_FUNCTION_LINES = 60

function sizeFaults(file: Source): string[] {
  const lines = file.text.trimEnd().split('\n').length
  const long = functionsOf(file).filter((f) => f.lines > MOST_FUNCTION_LINES)
  return [
    ...(lines > MOST_LINES ? [`${file.path} has ${lines} lines`] : []),
    ...long.map((f) => `${file.path}:${f.line} is a function of ${f.lines} lines: ${f.head}`),
  ]
}

const sources = globSync('src/**/*.ts').map((path) => source(path.slice('src/'.length), readFileSync(path, 'utf8')))

describe('the sources', () => {
  it('import only what their layer may', () => expect(sources.flatMap(layerFaults)).toEqual([]))
  it('go through the doors', () => expect(sources.flatMap(doorFaults)).toEqual([]))
  it('are free of what is banned', () => expect(sources.flatMap(banFaults)).toEqual([]))
  it('stay small enough to be read', () => expect(sources.flatMap(sizeFaults)).toEqual([]))
  it('say why, for each rule', () => {
    for (const rule of [...LAYERS, ...DOORS, ...BANS]) expect(rule.at(-1)).toMatch(/\w+ \w+/)
  })
  it('are all seen: the scanner finds files, imports and functions', () => {
    expect(sources.length).toBeGreaterThan(15)
    expect(sources.flatMap(importsOf).length).toBeGreaterThan(30)
    expect(sources.flatMap(functionsOf).length).toBeGreaterThan(100)
  })
})

/** Each rule is shown something bad, and something that only looks so. */
describe('the rules bite', () => {
  const at = (path: string, text: string): Source => source(path, text)

  it.each([
    ['lib/a.ts', "import { x } from '../engine/job.ts'"],
    ['archive/zip.ts', "import type { Job } from '../engine/job.ts'"],
    ['engine/step.ts', "export { pack } from '../stages/pack.ts'"],
    ['engine/step.ts', "const { pack } = await import('../stages/pack.ts')"],
    ['stages/pack.ts', "import {\n  a,\n  type B,\n} from '../sink/archive-sink.ts'"],
    ['client/client.ts', "import { realDisk } from '../lib/disk.ts'"],
    ['source/directory.ts', "import '../sink/sink.ts'"],
    ['facade/rest/view.ts', "import { x } from '../jsonrpc/view.ts'"],
    ['cli/main.ts', "const url = new URL('../engine/worker.ts', import.meta.url)"],
  ])('layers: %s: %s', (path, text) => expect(layerFaults(at(path, text))).toHaveLength(1))

  it.each([
    ['engine/step.ts', "import fs from 'node:fs'"],
    ['engine/step.ts', "import { readFile } from 'fs/promises'"],
    ['cli/run.ts', "import { spawn } from 'node:child_process'"],
    ['sink/task.ts', "import { Worker } from 'node:worker_threads'"],
    ['engine/job.ts', 'const now = Date.now()'],
    ['engine/job.ts', 'const now = new Date()'],
    ['cli/meter.ts', 'const t = performance.now()'],
    ['engine/engine.ts', "import express from 'express'"],
    ['engine/log.ts', "import { pino } from 'pino'"],
  ])('doors: %s: %s', (path, text) => expect(doorFaults(at(path, text))).toHaveLength(1))

  it.each([
    'let a: any = 1',
    'type A = any',
    'const b = x as any',
    'function f(a: Map<string, any>) {}',
    'const c: any[] = []',
    '// @ts-ignore',
    'try { f() } catch {}',
    'try { f() } catch (e) { /* never mind */ }',
    'f().catch(() => {})',
    '// TODO later',
    'execSync("ls")',
    'spawn(a, { shell: true })',
    'const id = Math.random()',
    'node.innerHTML = text',
    'if (path.startsWith(rootFolder)) ok()',
    'connect({ rejectUnauthorized: false })',
  ])('bans: %s', (text) => expect(banFaults(at('engine/a.ts', text))).toHaveLength(1))

  it.each([
    "const text = 'any: any, eval(x), Math.random()' // as any in a comment, catch {}",
    'const m = /x/.exec(text); db.exec(sql); const many = anything',
    'try { f() } catch (e) { throw e }',
    'const later = new Date(ms); const r = /["\'`]/; const any = 1; f({ any: 2 })',
    'path.startsWith(root + sep)',
  ])('lets pass: %s', (text) => {
    expect([...banFaults(at('engine/a.ts', text)), ...doorFaults(at('engine/a.ts', text))]).toEqual([])
  })

  it('sizes: files, functions, methods, arrows, with heads of one line or many', () => {
    const body = (n: number, indent: string): string => `${indent}  work()\n`.repeat(n)
    expect(sizeFaults(at('a.ts', 'x\n'.repeat(301)))).toHaveLength(1)
    expect(sizeFaults(at('a.ts', 'x\n'.repeat(300)))).toEqual([])
    const heads = [
      'function f() {',
      'export async function* f<T>(a: string): Steps<T> {',
      'const f = (a: number): void => {',
      'function f(\n  a: string,\n  b: { c: number },\n): void {',
    ]
    for (const head of heads) {
      const headLines = head.split('\n').length
      expect(sizeFaults(at('a.ts', `${head}\n${body(59 - headLines, '')}}`))).toEqual([])
      expect(sizeFaults(at('a.ts', `${head}\n${body(60 - headLines, '')}}`))).toHaveLength(1)
    }
    expect(sizeFaults(at('a.ts', `class A {\n  #f(): void {\n${body(59, '  ')}  }\n}`))).toHaveLength(1)
    expect(sizeFaults(at('a.ts', `if (\n  a\n) {\n${body(80, '')}}`))).toEqual([])
    expect(sizeFaults(at('a.ts', `interface A {\n${'  a: 1\n'.repeat(80)}}`))).toEqual([])
  })
})
