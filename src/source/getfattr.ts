import { isUtf8 } from 'node:buffer'
import type { Disk } from '../lib/disk.ts'
import { escapeName } from '../lib/entry-path.ts'
import { errnoOf } from '../lib/errors.ts'
import { startProgram, type ProgramResult, type RunningProgram } from '../lib/program.ts'
import type { WalkEntry } from './entry.ts'
import { join, PATH_MAX, type Folder } from './folders.ts'

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

/** Where names are relative to: short ones are quicker to look up. */
export interface Base {
  readonly root: Buffer
  readonly cwd: string
}

export function baseAt(root: Buffer): Base {
  return isUtf8(root) ? { root, cwd: root.toString('utf8') } : { root, cwd: '/' }
}

/** Reads the attributes of some files, beside our own work. */
export function startGetfattr(tools: AttributeTools, operands: Buffer, base: Base): RunningProgram {
  const args = ['-0', '-r', '-s', ARGUMENTS, tools.getfattr, ...OPTIONS]
  return startProgram(tools.xargs, args, {
    timeoutMs: TIMEOUT_MS,
    maxBuffer: MAX_OUTPUT,
    cwd: base.cwd,
    input: operands,
  })
}

/** The operands of a list of entries, each ended by NUL. Made for every file there is: it allocates next to nothing. */
export class Operands {
  readonly #base: Base
  #bytes = Buffer.allocUnsafe(1 << 16)
  #length = 0
  /** Entries come folder by folder. */
  #folder: Folder | null = null
  #prefix: Buffer = NOTHING

  constructor(base: Base) {
    this.#base = base
  }

  /** False if the path is too long for any program. */
  add(entry: WalkEntry): boolean {
    const { place, path } = entry
    if (Buffer.isBuffer(place)) return this.#put(this.#shorten(place), NOTHING, 0)
    if (place.access === null) return false
    if (place !== this.#folder) {
      this.#folder = place
      this.#prefix = this.#shorten(join(place.access, NOTHING))
    }
    const from = path.lastIndexOf(0x2f) + 1
    return place.access.length + 1 + path.length - from < PATH_MAX && this.#put(this.#prefix, path, from)
  }

  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }

  #put(prefix: Buffer, path: Buffer, from: number): true {
    const end = this.#length + prefix.length + path.length - from + 1
    if (end > this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes], Math.max(end, 2 * this.#bytes.length))
    this.#bytes.set(prefix, this.#length)
    path.copy(this.#bytes, this.#length + prefix.length, from)
    this.#bytes[end - 1] = 0
    this.#length = end
    return true
  }

  #shorten(path: Buffer): Buffer {
    const { root, cwd } = this.#base
    const inside = cwd !== '/' && path.length > root.length && path[root.length] === 0x2f
    return inside && path.subarray(0, root.length).equals(root) ? path.subarray(root.length + 1) : path
  }
}

const NOTHING = Buffer.alloc(0)

export interface Found {
  readonly attributes: ReadonlyMap<WalkEntry, Attributes>
  /** What could not be read, by entry. */
  readonly complaints: ReadonlyMap<WalkEntry, string>
  /** Complaints about something else. */
  readonly others: readonly string[]
}

/** Puts the output in terms of the entries. Most files have no attributes, so mostly there is nothing to do. */
export function readOutput(result: ProgramResult, entries: readonly WalkEntry[], base: Base): Found {
  const attributes = new Map<WalkEntry, Attributes>()
  const complaints = new Map<WalkEntry, string>()
  const others: string[] = []
  if (result.stdout.length + result.stderr.length === 0) return { attributes, complaints, others }
  const asked = new Map<string, WalkEntry>()
  for (const entry of entries) {
    const operand = new Operands(base)
    if (operand.add(entry)) asked.set(operand.bytes.toString('latin1', 0, operand.bytes.length - 1), entry)
  }
  for (const [name, found] of parseDump(result.stdout)) {
    const entry = asked.get(name)
    if (entry !== undefined) attributes.set(entry, found)
  }
  for (const text of parseComplaints(result.stderr)) {
    const entry = subject(text, asked)
    if (entry === undefined) others.push(text)
    else complaints.set(entry, text.slice(text.lastIndexOf(': ') + 2))
  }
  return { attributes, complaints, others }
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

function parseComplaints(stderr: Buffer): string[] {
  const lines = stderr.toString('latin1').split('\n')
  return lines.filter((line) => line !== '' && !HARMLESS.test(line)).map((line) => line.replace(/^[^:]*getfattr: /, ''))
}

/** The entry that a message begins with; names may hold `: ` themselves. */
function subject(text: string, asked: ReadonlyMap<string, WalkEntry>): WalkEntry | undefined {
  for (let cut = text.lastIndexOf(': '); cut > 0; cut = text.lastIndexOf(': ', cut - 1)) {
    const entry = asked.get(text.slice(0, cut))
    if (entry !== undefined) return entry
  }
  return undefined
}
