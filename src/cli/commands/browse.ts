import type { Command } from 'commander'
import type { BrowsedEntry } from '../../engine/services.ts'
import { displayName, nameFromJson, nameToJson } from '../../lib/entry-path.ts'
import * as format from '../format.ts'
import * as parse from '../parse.ts'
import type { Session } from '../session.ts'
import { archiveOf } from './restore.ts'

interface BrowseOptions {
  recursive?: boolean
  after?: string
  limit?: number
}

const LARGEST_PAGE = 1000
const EXAMPLES = `
Names that are not UTF-8, or hold control characters, are written b64: and base64 in --json and in options.

Examples:
  ratchet browse 12
  ratchet browse 12 www/uploads --recursive --limit 50
  ratchet browse /backup/site.zip --json`

export function addBrowse(program: Command, session: Session): void {
  program
    .command('browse')
    .summary('list what a backup holds')
    .description('Lists a folder of a finished backup, or of any archive given by the path of its last part.')
    .argument('<id|archive>', 'backup or archive', parse.parseArchive)
    .argument('[path]', 'folder in it; default: the top', '')
    .option('-r, --recursive', 'everything below the folder')
    .option('--after <path>', 'begin behind this path')
    .option('--limit <n>', 'at most this many entries (default: all)', parse.parsePositive)
    .addHelpText('after', EXAMPLES)
    .action((archive: ReturnType<typeof parse.parseArchive>, path: string, options: BrowseOptions, command: Command) =>
      browse(session, command, archive, path, options),
    )
}

async function browse(
  session: Session,
  command: Command,
  archive: ReturnType<typeof parse.parseArchive>,
  path: string,
  options: BrowseOptions,
): Promise<void> {
  await using backend = await session.open(command)
  const where = await archiveOf(backend, session, archive)
  const folder = nameFromJson(path.replace(/(?<=.)\/+$/, ''))
  const show = session.json(command) ? jsonText : textLine
  let after = options.after === undefined ? null : nameFromJson(options.after)
  for (let left = options.limit ?? Number.MAX_SAFE_INTEGER; left > 0;) {
    const limit = Math.min(left, LARGEST_PAGE)
    const { entries, next } = await backend.contents.browse(where, {
      path: folder,
      recursive: options.recursive === true,
      after,
      limit,
    })
    session.print(...entries.map(show))
    left -= entries.length
    after = next
    if (after === null) return
  }
  if (!session.json(command) && after !== null)
    session.print(`… and more (--after ${format.shellWord(nameToJson(after))})`)
}

const SIGNS = { dir: 'd', file: '-', symlink: 'l' } as const

function textLine({ path, kind, size, mtimeMs, link }: BrowsedEntry): string {
  const time = mtimeMs === null ? '-'.padEnd(19) : format.time(mtimeMs)
  const amount = kind === 'file' ? format.size(size) : ''
  const name = `${displayName(path, 4096)}${kind === 'dir' ? '/' : ''}`
  return `${SIGNS[kind]} ${amount.padStart(10)}  ${time}  ${name}${link === undefined ? '' : ` -> ${displayName(link)}`}`
}

const jsonText = ({ path, kind, size, mode, mtimeMs, digest, link }: BrowsedEntry): string =>
  format.printable(
    JSON.stringify({
      path: nameToJson(path),
      kind,
      size,
      mode,
      mtime: format.iso(mtimeMs),
      digest,
      ...(link === undefined ? {} : { link: nameToJson(link) }),
    }),
  )
