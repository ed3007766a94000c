import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { Damage, textOf, unpack } from './content.ts'
import { Crew, type Fault } from './crew.ts'
import type { Item } from './entry.ts'
import { Folders, leadsOut, linkTarget, makeLink, makeName } from './finish.ts'
import { jpaItems, jpaStart } from './jpa-items.ts'
import { decodeLine, Lines, type Line } from './lines.ts'
import { pathFault } from './names.ts'
import type { Options } from './options.ts'
import { Fatal, Joined, partsOf } from './parts.ts'
import { Proof } from './proof.ts'
import { Tree, WORK_FOLDER, type Task } from './target.ts'
import { zipItems } from './zip-items.ts'

const MANIFEST = 'installation/manifest.jsonl'
/** In archives of a format without checksums: the manifest's own line. */
const SEAL = 'installation/seal.jsonl'
/** No seal is longer. Bytes. */
const SEAL_MOST = 64 << 10
/** Files, and their bytes as stored, that are handed to a thread together. */
const BATCH_FILES = 64
const BATCH_BYTES = 1 << 20

export interface Report {
  readonly files: number
  readonly bytes: number
  readonly faults: readonly Fault[]
  readonly notes: readonly string[]
}

/** One restore, or one check, from the first byte to the last. */
export class Run {
  readonly #options: Options
  readonly #archive: Joined
  readonly #work: string
  readonly #faults: Fault[] = []
  readonly #links: Task[] = []
  /** First name of each file with several, by group; and further names with the first one's. */
  readonly #firsts = new Map<string, { name: Buffer; digest: string }>()
  readonly #names: { first: Buffer; task: Task }[] = []
  readonly #say: (done: number) => void
  #files = 0
  #bytes = 0
  #xattrs = 0
  #manifest: string | null = null

  /** `say` is told how much of the archive has been handed out, 0 to 1. */
  constructor(options: Options, say: (done: number) => void) {
    this.#options = options
    this.#archive = new Joined(partsOf(options.archive))
    const place = options.target ?? fs.mkdtempSync(path.join(process.env['TMPDIR'] ?? '/tmp', 'ratchet-check-'))
    this.#work = options.target === null ? place : path.join(place, WORK_FOLDER)
    this.#say = say
  }

  async run(): Promise<Report> {
    const { target } = this.#options
    const resumed = target !== null && claim(target, this.#work, this.#archive)
    await this.#fetchManifest()
    if (target !== null) this.#checkRoom(target)
    const crew = new Crew({ files: this.#archive.files, target, resumed })
    try {
      for await (const tasks of this.#batches()) await crew.give(tasks)
    } finally {
      await crew.finish()
    }
    this.#faults.push(...crew.faults)
    await this.#finish()
    fs.rmSync(this.#work, { recursive: true, force: true })
    if (target !== null) settle(target)
    return { files: this.#files, bytes: this.#bytes, faults: this.#faults, notes: this.#notes() }
  }

  *#items(): Generator<Item, void, undefined> {
    yield* jpaStart(this.#archive) === 0 ? jpaItems(this.#archive) : zipItems(this.#archive)
  }

  /** The manifest out of the archive: every other entry is compared with it. */
  async #fetchManifest(): Promise<void> {
    const item = [...this.#found(MANIFEST)].at(-1)
    if (item === undefined) return
    this.#manifest = path.join(this.#work, 'manifest.jsonl')
    const fd = fs.openSync(this.#manifest, 'w', 0o600)
    const proof = new Proof(item.crc === null ? await this.#sealOf(item) : null, item.crc)
    try {
      await unpack(this.#archive, item, (bytes) => {
        proof.update(bytes)
        fs.writeSync(fd, bytes)
      })
    } finally {
      fs.closeSync(fd)
    }
    if (!proof.holds()) throw new Fatal('the list of files in the archive (its manifest) is damaged')
  }

  /** What the seal says the manifest's digest is; null without one. */
  async #sealOf(manifest: Item): Promise<string | null> {
    const seal = [...this.#found(SEAL)].at(-1)
    if (seal === undefined) return null
    if (seal.size > SEAL_MOST) throw new Fatal('the seal of the manifest is damaged')
    const pieces: Buffer[] = []
    await unpack(this.#archive, seal, (bytes) => void pieces.push(Buffer.from(bytes)))
    const lines = Buffer.concat(pieces)
      .toString('utf8')
      .split('\n')
      .filter((text) => text !== '')
    const line = lines.map(decodeLine).find((own) => own?.name.equals(manifest.name) === true)
    if (line === undefined || line === null) throw new Fatal('the seal of the manifest is damaged')
    return line.digest
  }

  *#found(name: string): Generator<Item, void, undefined> {
    const wanted = Buffer.from(name)
    for (const item of this.#items()) if (item.name.equals(wanted)) yield item
  }

  #checkRoom(target: string): void {
    let bytes = 0
    for (const item of this.#items()) if (item.kind === 'file' && this.#isWanted(item)) bytes += item.size
    const { bavail, bsize } = fs.statfsSync(target)
    // What an interrupted run has put in place already is not asked for again; a sparse file may need less.
    if (bytes <= bavail * bsize || fs.readdirSync(target).length > 1) return
    throw new Fatal(`${target} has room for ${bavail * bsize} bytes; the files need ${bytes}`)
  }

  #isWanted(item: Item): boolean {
    const own = item.name.toString('latin1').startsWith('installation/')
    return (this.#options.installation || !own) && this.#options.wanted(item.name)
  }

  async *#batches(): AsyncGenerator<Task[], void, undefined> {
    let tasks: Task[] = []
    let bytes = 0
    for (const task of this.#tasks()) {
      this.#say(task.item.offset / this.#archive.size)
      tasks.push(task)
      bytes += task.item.stored
      if (tasks.length < BATCH_FILES && bytes < BATCH_BYTES) continue
      yield tasks
      tasks = []
      bytes = 0
    }
    if (tasks.length > 0) yield tasks
  }

  /** The files whose content a thread is to deal with; links and further names are kept for the end. */
  *#tasks(): Generator<Task, void, undefined> {
    for (const task of this.#all(true)) {
      const { item, digest } = task
      if (item.kind === 'dir') continue
      this.#files++
      this.#bytes += item.size
      if (item.kind === 'symlink') this.#links.push(task)
      else if (!this.#isFurtherName(task)) yield task
      else if (digest !== null && this.#options.target === null) yield task
    }
  }

  #isFurtherName(task: Task & { group?: string | null }): boolean {
    const { group, digest, item } = task
    if (group === undefined || group === null || digest === null || this.#options.target === null) return false
    const first = this.#firsts.get(group)
    if (first === undefined) this.#firsts.set(group, { name: item.name, digest })
    else if (first.digest === digest) this.#names.push({ first: first.name, task })
    return first !== undefined && first.digest === digest
  }

  /** Every wanted entry with its line of the manifest. `tell`: name what is refused or missing. */
  *#all(tell: boolean): Generator<Task & { group: string | null }, void, undefined> {
    const miss = (line: Line): void => {
      if (tell && this.#options.wanted(line.name)) this.#fault(line.name, 'the archive does not hold it any more')
    }
    const lines = this.#manifest === null ? null : new Lines(this.#manifest, miss)
    try {
      for (const item of this.#items()) {
        const line = lines?.lineFor(item.name) ?? null
        if (!this.#isWanted(item)) continue
        const fault = item.refused ?? nameFault(item.name) ?? unlisted(item, lines, line)
        if (fault === null) yield { ...this.#taskOf(item, line), group: line?.group ?? null }
        else if (tell) this.#fault(item.name, fault)
        if (tell && line?.xattrs === true) this.#xattrs++
      }
      if (tell) lines?.end()
    } finally {
      lines?.close()
    }
  }

  #taskOf(item: Item, line: Line | null): Task {
    const { owners } = this.#options
    return {
      item,
      digest: line?.digest ?? null,
      mode: (line?.mode ?? item.mode) & (owners ? 0o7777 : 0o1777),
      mtime: line === null ? item.mtime : secondsOf(line.mtimeNs),
      owner: owners && line !== null ? { uid: line.uid, gid: line.gid } : null,
    }
  }

  async #finish(): Promise<void> {
    const { target } = this.#options
    const tree = target === null ? null : new Tree(target)
    for (const task of this.#links) {
      await this.#attempt(task, async () => {
        const to = await linkTarget(this.#archive, task)
        if (tree === null) return
        if (!this.#options.outsideLinks && leadsOut(task.item.name, to)) {
          throw new Damage('it is a link that leads out of the target (--outside-links allows it)')
        }
        makeLink(tree, task, to)
      })
    }
    if (tree === null) return
    for (const { first, task } of this.#names) await this.#attempt(task, () => makeName(tree, first, task.item.name))
    const folders = new Folders(tree)
    // All of them first: a folder that is made gives the one above it another time.
    for (const task of this.#folders()) await this.#attempt(task, () => tree.folder(task.item.name))
    for (const task of this.#folders()) if (tree.has(task.item.name)) folders.finish(task)
    folders.end()
  }

  *#folders(): Generator<Task, void, undefined> {
    for (const task of this.#all(false)) if (task.item.kind === 'dir') yield task
  }

  async #attempt({ item }: Task, work: () => void | Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      const known = error instanceof Damage || (error as NodeJS.ErrnoException).code !== undefined
      if (!known) throw error
      this.#fault(item.name, textOf(error))
    }
  }

  #fault(name: Buffer, why: string): void {
    this.#faults.push({ name, why })
  }

  #notes(): string[] {
    const notes: string[] = []
    if (this.#manifest === null)
      notes.push('the archive holds no manifest: contents are compared with their CRC at most')
    if (this.#xattrs > 0)
      notes.push(`extended attributes of ${this.#xattrs} entries were not restored: ratchet restore does`)
    return notes
  }
}

/** A double of seconds is cut to microseconds below us: half a one is added, so that none is lost on the way. */
const secondsOf = (ns: bigint): number => (Number(ns / 1000n) + 0.5) / 1e6

function nameFault(name: Buffer): string | null {
  const [first] = name.toString('latin1').split('/')
  if (first?.toLowerCase() === WORK_FOLDER) return 'its name is the one of the folder in which files wait'
  return pathFault(name, process.platform === 'win32')
}

function unlisted(item: Item, lines: Lines | null, line: Line | null): string | null {
  const own = item.name.toString('latin1').startsWith('installation/')
  return lines === null || line !== null || own ? null : 'the manifest does not list it'
}

/** Makes the target ours. True if an earlier run of this very archive was interrupted here. */
function claim(target: string, work: string, archive: Joined): boolean {
  const head = archive.read(0, 1 << 16)
  const tail = archive.read(archive.size - Math.min(archive.size, 1 << 16), 1 << 16)
  const identity = createHash('sha256').update(`${archive.size}\n`).update(head).update(tail).digest('hex')
  const mark = path.join(work, 'archive')
  fs.mkdirSync(target, { recursive: true })
  if (fs.existsSync(mark)) {
    if (fs.readFileSync(mark, 'utf8') === identity) return true
    throw new Fatal(`${target} holds an unfinished restore of another archive`, 2)
  }
  const found = fs.readdirSync(target).filter((name) => name !== WORK_FOLDER)
  if (found.length > 0) throw new Fatal(`${target} is not empty; restore into a new folder`, 2)
  fs.mkdirSync(work, { recursive: true, mode: 0o700 })
  fs.writeFileSync(mark, identity)
  return false
}

/** What was written, onto the disk. Node has no call for it; where the program is missing the system does it in its own time. */
function settle(target: string): void {
  try {
    execFileSync('sync', ['-f', target], { stdio: 'ignore', timeout: 600_000 })
  } catch (error) {
    process.stderr.write(`note: ${target} could not be synced (${textOf(error)})\n`)
  }
}
