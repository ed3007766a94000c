import { isUtf8 } from 'node:buffer'
import type { Disk } from '../lib/disk.ts'
import { escapeName } from '../lib/entry-path.ts'
import { errnoOf } from '../lib/errors.ts'
import { startProgram, type ProgramResult, type RunningProgram } from '../lib/program.ts'

/** Attributes of one file: values in base64 by name; a name that is not UTF-8 is escaped (`escapeName`). */
export type Attributes = Readonly<Record<string, string>>

/** Absolute paths. xargs hands names over as bytes; an argument array of Node holds text only. */
export interface AttributeTools {
  readonly xargs: string
  readonly getfattr: string
}

const FOLDERS: readonly string[] = ['/usr/bin', '/bin']

/** The programs that read attributes, or null if they are not installed. */
export function findAttributeTools(disk: Disk, folders = FOLDERS): AttributeTools | null {
  const xargs = findProgram(disk, 'xargs', FOLDERS)
  const getfattr = findProgram(disk, 'getfattr', folders)
  return xargs === null || getfattr === null ? null : { xargs, getfattr }
}

export function findProgram(disk: Disk, name: string, folders: readonly string[] = FOLDERS): string | null {
  for (const folder of folders) {
    try {
      if (disk.stat(`${folder}/${name}`).kind === 'file') return `${folder}/${name}`
    } catch (error) {
      if (errnoOf(error) === undefined) throw error
    }
  }
  return null
}

/** As getfattr is told to write them: no leading slash is cut, no link followed, all names, base64. */
const OPTIONS = ['--absolute-names', '-h', '-d', '-m', '-', '-e', 'base64', '--']
/** Of arguments per process; the system allows 2 MiB and counts pointers too. */
const ARGUMENTS = '1000000'
/** A folder on a hanging mount must not stop the step for ever. */
const TIMEOUT_MS = 10_000
/** Of output for one call. */
export const MAX_OUTPUT = 32 << 20

/** Reads the attributes of `names` (relative to `cwd`, or absolute), beside our own work. */
export function startGetfattr(tools: AttributeTools, names: readonly Buffer[], root: Buffer): RunningProgram {
  const nul = Buffer.alloc(1)
  const cwd = isUtf8(root) ? root.toString('utf8') : '/'
  const input = Buffer.concat(names.flatMap((name) => [operand(name, root, cwd), nul]))
  const args = ['-0', '-r', '-s', ARGUMENTS, tools.getfattr, ...OPTIONS]
  return startProgram(tools.xargs, args, { timeoutMs: TIMEOUT_MS, maxBuffer: MAX_OUTPUT, cwd, input })
}

/** Short names are quicker to look up: relative ones below the source. */
function operand(path: Buffer, root: Buffer, cwd: string): Buffer {
  if (cwd === '/' || path.length <= root.length + 1 || path[root.length] !== 0x2f) return path
  return path.subarray(0, root.length).equals(root) ? path.subarray(root.length + 1) : path
}

export interface Found {
  /** By the path asked for, as latin1. */
  readonly attributes: ReadonlyMap<string, Attributes>
  /** What could not be read, by path as latin1; paths that are not known are kept under ''. */
  readonly complaints: ReadonlyMap<string, string>
}

/** Puts the output in terms of the paths asked for. */
export function readOutput(result: ProgramResult, paths: readonly Buffer[], root: Buffer): Found {
  const cwd = isUtf8(root) ? root.toString('utf8') : '/'
  const asked = new Map(paths.map((path) => [operand(path, root, cwd).toString('latin1'), path.toString('latin1')]))
  const attributes = new Map<string, Attributes>()
  for (const [name, found] of parseDump(result.stdout)) attributes.set(asked.get(name) ?? '', found)
  return { attributes, complaints: parseComplaints(result.stderr, asked) }
}

/**
 * `# file: NAME` and lines `attribute=0sBASE64`, blocks ended by an empty line; newlines,
 * carriage returns, backslashes and `=` in names are written as a backslash and three octal digits.
 */
export function parseDump(output: Buffer): Map<string, Attributes> {
  const files = new Map<string, Attributes>()
  let current: [string, string][] = []
  let name: string | null = null
  const end = (): void => {
    if (name !== null) files.set(name, Object.fromEntries(current))
    current = []
    name = null
  }
  for (const line of output.toString('latin1').split('\n')) {
    if (line.startsWith('# file: ')) {
      end()
      name = unquote(line.slice('# file: '.length))
    } else if (line !== '' && name !== null) current.push(attribute(line))
  }
  end()
  return files
}

function attribute(line: string): [string, string] {
  const cut = line.indexOf('=')
  const name = unquote(cut < 0 ? line : line.slice(0, cut))
  const value = cut < 0 ? '' : line.slice(cut + 1)
  // An empty value may be written bare or as an empty text.
  return [escapeName(Buffer.from(name, 'latin1')), value.startsWith('0s') ? value.slice(2) : '']
}

function unquote(text: string): string {
  return text.replace(/\\([0-3][0-7]{2})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)))
}

/** No attributes there, or no file any more: nothing is lost by that which is not reported with the file itself. */
const HARMLESS = /: (?:No such file or directory|Not a directory|No data available|Operation not supported)$/

function parseComplaints(stderr: Buffer, asked: ReadonlyMap<string, string>): Map<string, string> {
  const complaints = new Map<string, string>()
  for (const line of stderr.toString('latin1').split('\n')) {
    if (line === '' || HARMLESS.test(line)) continue
    const text = line.replace(/^[^:]*getfattr: /, '')
    complaints.set(subject(text, asked), text.slice(text.lastIndexOf(': ') + 2))
  }
  return complaints
}

/** The path a message begins with; names may hold `: ` themselves. */
function subject(text: string, asked: ReadonlyMap<string, string>): string {
  for (let cut = text.lastIndexOf(': '); cut > 0; cut = text.lastIndexOf(': ', cut - 1)) {
    const path = asked.get(text.slice(0, cut))
    if (path !== undefined) return path
  }
  return ''
}
