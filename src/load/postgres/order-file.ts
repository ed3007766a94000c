import { BackupError } from '../../lib/errors.ts'

const NAMED = /^\\ir '((?:[^'\\]|''|\\[0-7]{3})*)'$/
const OTHERS: ReadonlySet<string> = new Set(['\\set ON_ERROR_STOP on', ''])

/** Files in the order file of a dump, as `orderFileOf` writes it. ARCHIVE_DAMAGED: it says anything else. */
export function filesIn(order: string): string[] {
  return order.split('\n').flatMap((line, i) => {
    if (line.startsWith('--') || OTHERS.has(line)) return []
    const [, quoted] = NAMED.exec(line) ?? []
    if (quoted === undefined) throw damaged(i, 'is not one that names a file')
    const name = quoted
      .replaceAll("''", "'")
      .replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCodePoint(Number.parseInt(digits, 8)))
    if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name)) throw damaged(i, 'names no file beside it')
    return [name]
  })
}

const damaged = (line: number, what: string): BackupError =>
  new BackupError('ARCHIVE_DAMAGED', `the order of loading: line ${line + 1} ${what}`, {
    hint: 'The file that tells the order was changed, or is none of ours.',
  })
