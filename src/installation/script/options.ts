import fs from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { Fatal } from './parts.ts'

export interface Options {
  readonly archive: string
  /** Null: only check. */
  readonly target: string | null
  /** Whether only a choice is wanted. */
  readonly chosen: boolean
  readonly wanted: (name: Buffer) => boolean
  readonly owners: boolean
  readonly outsideLinks: boolean
  readonly installation: boolean
}

export const USAGE = `Restores a backup made by Ratchet. Needs Node 20 or newer, and nothing else.

  node restore.mjs ARCHIVE --to FOLDER      restore everything into FOLDER (new or empty)
  node restore.mjs ARCHIVE --check          only compare every file with its digest

ARCHIVE is the .zip or .jpa file; further parts (.z01, .j01 …) must lie beside it. Without ARCHIVE: the
only archive in this folder. Interrupted? The same command again goes on where it was.

  --only PATTERN        only what matches; * and ? within a folder, ** across; may be repeated
  --owners              owners and special mode bits as they were (as root)
  --outside-links       also links that lead out of FOLDER
  --with-installation   also the folder "installation" of the archive

Ends with 0: all is there; 1: it could not be done; 2: wrong command line; 3: done, but for what is named.
`

const OPTIONS = {
  to: { type: 'string' },
  check: { type: 'boolean' },
  only: { type: 'string', multiple: true },
  owners: { type: 'boolean' },
  'outside-links': { type: 'boolean' },
  'with-installation': { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const

/** Null: help was asked for. */
export function readOptions(args: readonly string[]): Options | null {
  const { values, positionals } = parsed(args)
  if (values.help === true) return null
  const { to, check } = values
  if (positionals.length > 1) throw new Fatal(`one archive at a time; "${positionals[1]}" is too many`, 2)
  if ((to === undefined) === (check !== true)) throw new Fatal('say either --to FOLDER or --check', 2)
  if (to === '') throw new Fatal('--to names no folder', 2)
  const patterns = (values.only ?? []).map(patternOf)
  return {
    archive: positionals[0] ?? onlyArchive(process.cwd()),
    target: to === undefined ? null : path.resolve(to),
    chosen: patterns.length > 0,
    wanted: (name) => patterns.length === 0 || patterns.some((pattern) => pattern.test(name.toString('utf8'))),
    owners: values.owners === true,
    outsideLinks: values['outside-links'] === true,
    installation: values['with-installation'] === true,
  }
}

const parse = (args: string[]) => parseArgs({ args, options: OPTIONS, allowPositionals: true })

function parsed(args: readonly string[]): ReturnType<typeof parse> {
  try {
    return parse([...args])
  } catch (error) {
    throw new Fatal(error instanceof Error ? error.message : String(error), 2)
  }
}

const WILD: Readonly<Record<string, string>> = { '*': '[^/]*', '?': '[^/]', '**/': '(?:.*/)?' }

/** The pattern, and all that lies below what it matches. */
function patternOf(text: string): RegExp {
  const source = text
    .replace(/\/+$/, '')
    .replace(/[.+^${}()|[\]\\]/g, String.raw`\$&`)
    .replace(/\*\*\/?|\*|\?/g, (wild) => WILD[wild] ?? '.*')
  return new RegExp(`^${source}(?:/|$)`, 'su')
}

function onlyArchive(folder: string): string {
  const found = fs.readdirSync(folder).filter((name) => /\.(zip|jpa)$/i.test(name))
  const [first] = found
  if (first !== undefined && found.length === 1) return path.join(folder, first)
  throw new Fatal(`name the archive: there are ${found.length} in ${folder}`, 2)
}
