import { stripTypeScriptTypes } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { readFileIfThere } from '../lib/durable-file.ts'
import { realDisk } from '../lib/disk.ts'
import { BackupError } from '../lib/errors.ts'

/**
 * `installation/restore.mjs`: the files of `script/`, joined into one that runs on a bare Node. They import nothing
 * but each other and Node's own modules, and no two of them use the same name at their top level
 * (`test/installation/bundle.test.ts`), so joining is leaving out the imports between them.
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

let made: string | undefined

/** The text of the script: the same for every call of one release. */
export function restoreScript(): string {
  return (made ??= join(FILES.map(textOf)))
}

function textOf(name: string): string {
  const typed = import.meta.url.endsWith('.ts')
  const file = fileURLToPath(new URL(`${name}.${typed ? 'ts' : 'js'}`, FOLDER))
  const text = readFileIfThere(realDisk, file)?.toString('utf8')
  if (text === undefined) {
    throw new BackupError('INTERNAL', `${path.basename(file)}, a part of this program, is missing: install it again`)
  }
  return typed ? withoutTypes(text) : text.replace(/^\/\/# sourceMappingURL=.*\n?/gm, '')
}

/** Node tells everybody at the first use that this function of its own may change; nobody here can do anything about it. */
function withoutTypes(text: string): string {
  const { emitWarning } = process
  process.emitWarning = () => {}
  try {
    return stripTypeScriptTypes(text)
  } finally {
    process.emitWarning = emitWarning
  }
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
