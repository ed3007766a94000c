import type { AppendFile } from '../lib/append-file.ts'
import { readFileIfThere } from '../lib/durable-file.ts'
import type { Disk } from '../lib/disk.ts'
import type { Job, Part } from './job.ts'
import type { JobPaths } from './paths.ts'

/** Work file of the participants for which the record has no room: a line each time one is put there; its last one counts. */
export const PARTS_FILE = 'verdicts'

/** Room for participants in the record. Bytes of JSON; the one worked on is always there. */
const ROOM = 4 << 10

export interface PartListDeps {
  readonly job: Job
  file(name: string): AppendFile
}

/**
 * The participants of a job: those touched last in its record, the others on the shelf, a work file. A run of few
 * participants never makes that file; one of hundreds does not outgrow its record.
 */
export class PartList {
  readonly #deps: PartListDeps
  /** What the shelf holds, and of which record that is true: another one takes the place of a record after a failure. */
  #shelf: { readonly of: Job; readonly parts: Map<string, Part> } | null = null

  constructor(deps: PartListDeps) {
    this.#deps = deps
  }

  /** The participant of that name, made at its first mention. Good until the next one is asked for. */
  get(name: string): Part {
    const { job } = this.#deps
    const present = job.parts.find((part) => part.name === name)
    if (present !== undefined) return present
    const part = this.#take(job, name) ?? newPart(name)
    job.parts.push(part)
    while (job.parts.length > 1 && Buffer.byteLength(JSON.stringify(job.parts)) > ROOM) this.#put(job)
    return part
  }

  /** All of them, in the order of their first mention. */
  all(): Part[] {
    const { job } = this.#deps
    return merged(job.shelved.total === 0 ? new Map() : this.#shelved(job), job.parts)
  }

  #take(job: Job, name: string): Part | undefined {
    if (job.shelved.total === 0) return undefined
    const part = this.#shelved(job).get(name)
    if (part === undefined) return undefined
    tally(job, part, -1)
    return { ...part }
  }

  /** The one that has been in the record longest goes to the shelf. */
  #put(job: Job): void {
    const parts = this.#shelved(job)
    const part = job.parts.shift()
    if (part === undefined) return
    const line = JSON.stringify(part)
    if (line !== JSON.stringify(parts.get(part.name))) {
      this.#deps.file(PARTS_FILE).write(Buffer.from(line + '\n', 'utf8'))
      parts.set(part.name, part)
    }
    tally(job, part, 1)
  }

  #shelved(job: Job): Map<string, Part> {
    if (this.#shelf?.of !== job) {
      const file = this.#deps.file(PARTS_FILE)
      this.#shelf = { of: job, parts: parse(file.read(0, file.length)) }
    }
    return this.#shelf.parts
  }
}

/** The participants of a job that nobody here is working on. Null: its work files were moved meanwhile, read the record anew. */
export function readParts(disk: Disk, paths: JobPaths, job: Job): Part[] | null {
  if (job.shelved.total === 0) return job.parts
  const length = job.files[PARTS_FILE] ?? 0
  const bytes = readFileIfThere(disk, `${paths.side(job.number, job.house)}/${PARTS_FILE}`)
  if (bytes === null || bytes.length < length) return null
  return merged(parse(bytes.subarray(0, length)), job.parts)
}

const newPart = (name: string): Part => ({
  name,
  critical: false,
  status: 'pending',
  files: 0,
  bytes: 0,
  omitted: 0,
  error: null,
})

function tally(job: Job, part: Part, by: 1 | -1): void {
  job.shelved.total += by
  if (part.status === 'failed') job.shelved.failed += by
  if (part.omitted > 0) job.shelved.gaps += by
}

function parse(bytes: Uint8Array): Map<string, Part> {
  const parts = new Map<string, Part>()
  for (const line of Buffer.from(bytes).toString('utf8').split('\n')) {
    if (line === '') continue
    const part = JSON.parse(line) as Part
    parts.set(part.name, part)
  }
  return parts
}

function merged(shelved: ReadonlyMap<string, Part>, recent: readonly Part[]): Part[] {
  const all = new Map(shelved)
  for (const part of recent) all.set(part.name, part)
  return [...all.values()]
}
