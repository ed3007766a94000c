import { stripTypeScriptTypes } from 'node:module'
import { fileURLToPath } from 'node:url'
import { readFileIfThere, replaceFile } from '../lib/durable-file.ts'
import { realDisk } from '../lib/disk.ts'
import { BackupError } from '../lib/errors.ts'
import { SCRIPT } from './script.ts'

/**
 * Makes `restore.mjs`, the script that lies in every archive: the files of `script/`, joined into one that runs on a
 * bare Node. They import nothing but each other and Node's own modules, and no two of them use the same name at their
 * top level (`test/installation/bundle.test.ts`), so joining is leaving out the imports between them. What is made is
 * kept beside this file: taking the types out costs a process a tenth of a second, which is some hosts' whole slice.
 */

/** In the order of their needs. */
const FILES = [
  'parts',
  'names',
  'entry',
  'zip-items',
  'jpa-items',
  'part-names',
  'lines',
  'proof',
  'garbage',
  'content',
  'faults',
  'target',
  'databases',
  'catalogue',
  'work-folder',
  'crew',
  'finish',
  'options',
  'entries',
  'run',
  'main',
] as const

const FOLDER = new URL('./script/', import.meta.url)
const IMPORT = /^import (?:type )?\{([^}]*)\} from '([^']+)';?\n/gm
const DEFAULT = /^import (\w+) from '([^']+)';?\n/gm
const HEAD = '// Restores a backup without the program that made it. Usage: node restore.mjs --help\n'

/** The text of the script. */
export const bundle = (): string => join(FILES.map((name) => stripTypeScriptTypes(textOf(name))))

function textOf(name: string): string {
  const bytes = readFileIfThere(realDisk, fileURLToPath(new URL(`${name}.ts`, FOLDER)))
  if (bytes === null) throw new BackupError('INTERNAL', `script/${name}.ts, a part of this program, is missing`)
  return bytes.toString('utf8')
}

function join(texts: readonly string[]): string {
  const names = new Map<string, Set<string>>()
  const defaults = new Map<string, string>()
  const bodies = texts.map((text) =>
    text
      .replace(IMPORT, (_all, list: string, from: string) => {
        if (from.startsWith('.')) return ''
        const known = names.get(from) ?? new Set<string>()
        for (const name of list.split(',')) if (name.trim() !== '') known.add(name.trim())
        names.set(from, known)
        return ''
      })
      .replace(DEFAULT, (_all, name: string, from: string) => {
        defaults.set(name, from)
        return ''
      })
      .replace(/^export (?=class|const|function|async function)/gm, '')
      .replace(/^export \{[^}]*\};?\n/gm, '')
      .replace(/[ \t]+$/gm, '')
      .replace(/\n{3,}/g, '\n\n'),
  )
  const imports = [
    ...Array.from(defaults, ([name, from]) => `import ${name} from '${from}'`),
    ...Array.from(names, ([from, list]) => `import { ${[...list].toSorted().join(', ')} } from '${from}'`),
  ]
  return `${HEAD}${imports.toSorted().join('\n')}\n${bodies.join('\n')}`
}

if (import.meta.main) replaceFile(realDisk, fileURLToPath(SCRIPT), Buffer.from(bundle(), 'utf8'))
