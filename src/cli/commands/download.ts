import path from 'node:path'
import type { Command } from 'commander'
import { filesGone, type ArtifactInfo } from '../../engine/services.ts'
import { displayName, escapeName, nameFromJson } from '../../lib/entry-path.ts'
import { BackupError } from '../../lib/errors.ts'
import type { Backend } from '../backend.ts'
import type { Fetched } from '../backend/contents.ts'
import { EXIT } from '../exit.ts'
import { UsageError } from '../failure.ts'
import * as format from '../format.ts'
import { Interrupt } from '../interrupt.ts'
import * as parse from '../parse.ts'
import { receiveFile, receiveStream } from '../receive.ts'
import { numberOf } from '../session.ts'
import type { Session } from '../session.ts'

interface DownloadOptions {
  part?: string
  entry?: string
  output?: string
}

/** One file to fetch. */
interface Item {
  readonly what: Fetched
  readonly sha256: string | null
  /** Its own name. */
  readonly name: string
}

const STANDARD_OUTPUT = '-'
const EXAMPLES = `
Without --part and --entry all parts are fetched, into the folder you are in. What came of a file whose
download was interrupted lies beside it as FILE.part; the same command goes on there.

Examples:
  ratchet download 12
  ratchet download 12 --part 2 -o /tmp/site.z02
  ratchet download 12 --entry www/index.php -o -`

export function addDownload(program: Command, session: Session): void {
  program
    .command('download')
    .summary('fetch a backup, or one file out of it')
    .description('Fetches the parts of an archive, or a file in it, and proves what came by the SHA-256 of the record.')
    .argument('<id>', 'number or id of the backup', parse.parseRef)
    .option('--part <part>', 'only this part: its number, counted from 1, or its name')
    .option('--entry <path>', 'a file in the archive, as browse shows it')
    .option('-o, --output <file>', 'write to this file; "-" is standard output')
    .addHelpText('after', EXAMPLES)
    .action((ref: parse.JobRef, options: DownloadOptions, command: Command) => download(session, command, ref, options))
}

async function download(
  session: Session,
  command: Command,
  ref: parse.JobRef,
  options: DownloadOptions,
): Promise<void> {
  if (options.part !== undefined && options.entry !== undefined)
    throw new UsageError('--part and --entry name two different things', 'Give one of them.')
  await using backend = await session.open(command)
  const number = await numberOf(backend, ref)
  const items = await itemsOf(backend, number, options)
  if (items.length > 1 && options.output !== undefined)
    throw new UsageError(`the archive has ${items.length} parts`, 'Leave -o out, or choose one with --part.')
  using interrupt = new Interrupt(session.io, () => undefined)
  try {
    for (const item of items)
      await fetchOne(session, command, backend, { number, item, signal: interrupt.signal }, options)
  } catch (error) {
    if (!interrupt.requested) throw error
    session.io.stderr.write('interrupted: the same command goes on with what has come\n')
    session.exitCode = EXIT.interrupted
  }
}

async function itemsOf(backend: Backend, number: number, { part, entry }: DownloadOptions): Promise<Item[]> {
  if (entry !== undefined) {
    const name = nameFromJson(entry)
    return [{ what: { entry: name }, sha256: null, name: escapeName(name.subarray(name.lastIndexOf(0x2f) + 1)) }]
  }
  const parts = await backend.artifacts(number)
  const wanted = part === undefined ? parts : parts.filter(({ name }, i) => name === part || String(i + 1) === part)
  if (wanted.length > 0) return wanted.map(itemOf)
  const { filesRemoved } = await backend.get(number)
  if (filesRemoved !== undefined) throw filesGone(number, filesRemoved)
  throw new BackupError(
    'ARCHIVE_NOT_FOUND',
    `backup ${number} has ${part === undefined ? 'no archive' : 'no such part'}`,
    {
      hint: `"ratchet show ${number}" names its parts; a backup that has not completed has none.`,
    },
  )
}

const itemOf = ({ name, sha256 }: ArtifactInfo): Item => ({ what: { part: name }, sha256, name })

async function fetchOne(
  session: Session,
  command: Command,
  backend: Backend,
  { number, item, signal }: { number: number; item: Item; signal: AbortSignal },
  { output }: DownloadOptions,
): Promise<void> {
  const { what, sha256 } = item
  const receiving = { contents: backend.contents, number, what, sha256, clock: session.io.clock, signal }
  if (output === STANDARD_OUTPUT) {
    await receiveStream((bytes) => void session.io.stdout.write(bytes), receiving)
    return
  }
  const file = session.path(output ?? plainName(item.name))
  const size = await receiveFile(session.io.disk, file, receiving)
  if (session.json(command)) session.printJson({ event: 'downloaded', number, file, size, sha256 })
  else session.print(`${displayName(Buffer.from(path.basename(file)))}: ${format.size(size)}, proven`)
}

/** A name that lies in the folder one is in. */
function plainName(name: string): string {
  if (name !== '' && name !== '.' && name !== '..' && path.basename(name) === name && !name.includes('\0')) return name
  throw new UsageError('the name cannot be used for a file here', 'Name one with -o.')
}
