import type { Job, Part, WarningCode } from '../../src/engine/job.ts'
import type { Json } from '../../src/engine/json.ts'
import type { JobSpec } from '../../src/engine/spec.ts'
import { PartList } from '../../src/engine/part-list.ts'
import type { Place, StageContext } from '../../src/engine/stage.ts'
import { AppendFile } from '../../src/lib/append-file.ts'
import type { Clock } from '../../src/lib/clock.ts'
import type { Disk } from '../../src/lib/disk.ts'
import type { MemoryWork } from './memory-work.ts'

const keyOf = (name: string, place: Place = 'side'): string => (place === 'out' ? `out/${name}` : name)

type Artifact = Parameters<StageContext['addArtifact']>[0]

/** The work files that one process has open. */
class Files {
  readonly open = new Map<string, AppendFile>()
  readonly released = new Set<string>()
  readonly handed = new Set<string>()
  /** Ever opened by this process: it may have left something there. */
  readonly touched = new Set<string>()
  readonly #work: MemoryWork

  constructor(work: MemoryWork) {
    this.#work = work
  }

  committed(): void {
    for (const file of this.open.values()) file.committed()
    for (const key of this.handed) this.#work.handedOver(key)
    for (const key of [...this.handed, ...this.released]) this.close(key)
    this.handed.clear()
    this.released.clear()
  }
  close(key: string): void {
    this.open.get(key)?.close()
    this.open.delete(key)
  }
}

/** One process's view of a `MemoryWork`. Once the process has died, every use throws. */
export class MemoryContext implements StageContext {
  readonly job: Job
  readonly spec: JobSpec
  readonly disk: Disk
  readonly clock: Clock
  readonly files: Files
  readonly abort = new AbortController()
  /** What `closing` says; a test that wants the stage to come to an end sets it. */
  ending = false
  readonly #work: MemoryWork
  readonly #parts = new PartList(this)
  readonly #warm = new Map<string, Disposable>()
  #dead = false

  constructor(work: MemoryWork, job: Job) {
    this.#work = work
    this.job = job
    this.spec = work.spec
    this.disk = work.disk
    this.clock = work.clock
    this.files = new Files(work)
  }

  get signal(): AbortSignal {
    return this.abort.signal
  }
  get closing(): boolean {
    return this.ending || this.signal.aborted
  }
  /** Milliseconds of the slice left: plenty, until the test ends it. */
  get left(): number {
    return this.closing ? 0 : 1000
  }

  slot<T extends object>(key: string, initial: () => T): T {
    this.#alive()
    const present = this.job.slots[key]
    if (present !== undefined) return present as unknown as T
    const made = initial()
    this.job.slots[key] = made as unknown as Json
    return made
  }
  clearSlot(key: string): void {
    this.#alive()
    delete this.job.slots[key]
  }

  file(name: string, place: Place = 'side'): AppendFile {
    this.#alive()
    const key = keyOf(name, place)
    if (this.job.trash.includes(key)) throw new Error(`work file ${key} was dropped in this step; use another name`)
    this.files.released.delete(key)
    this.files.touched.add(key)
    const present = this.files.open.get(key)
    if (present !== undefined) return present
    const file = AppendFile.open(this.disk, this.path(name, place), this.job.files[key] ?? 0, () => this.#alive())
    this.files.open.set(key, file)
    return file
  }
  adopt(name: string, place: Place = 'side'): AppendFile {
    this.#alive()
    const key = keyOf(name, place)
    const file = AppendFile.adopt(this.disk, this.path(name, place), () => this.#alive())
    this.files.touched.add(key)
    this.files.open.set(key, file)
    return file
  }
  release(name: string, place: Place = 'side'): void {
    this.files.released.add(keyOf(name, place))
  }
  drop(name: string, place: Place = 'side'): void {
    const key = keyOf(name, place)
    this.files.close(key)
    this.files.handed.delete(key)
    this.files.released.delete(key)
    delete this.job.files[key]
    this.job.trash.push(key)
  }
  hand(name: string, place: Place = 'side'): void {
    this.file(name, place)
    this.files.handed.add(keyOf(name, place))
  }
  path(name: string, place: Place = 'side'): string {
    return this.#work.pathOf(keyOf(name, place))
  }
  folder(place: Place): string {
    return place === 'out' ? this.#work.out : this.#work.side
  }

  keep<T extends Disposable>(key: string, make: () => T): T {
    this.#alive()
    const present = this.#warm.get(key)
    if (present !== undefined) return present as T
    const made = make()
    this.#warm.set(key, made)
    return made
  }
  forget(key: string): void {
    const present = this.#warm.get(key)
    this.#warm.delete(key)
    present?.[Symbol.dispose]()
  }

  part(name: string): Part {
    this.#alive()
    return this.#parts.get(name)
  }
  parts(): Part[] {
    this.#alive()
    return this.#parts.all()
  }
  count(delta: Parameters<StageContext['count']>[0]): void {
    this.#alive()
    const { totals } = this.job
    totals.entries += delta.entries ?? 0
    totals.files += delta.files ?? 0
    totals.bytesRead += delta.bytesRead ?? 0
    totals.bytesWritten += delta.bytesWritten ?? 0
  }
  expect(files: number, bytes: number): void {
    this.#alive()
    this.job.totals.filesExpected = files
    this.job.totals.bytesExpected = bytes
  }
  warn(code: WarningCode, message: string): void {
    this.#alive()
    this.job.warnings.total++
    this.job.warnings.recent.push({ step: this.job.steps + 1, code, message })
  }
  log(level: string, message: string): void {
    this.#work.log.push(`${level}: ${message}`)
  }
  setArchive(name: string): void {
    this.#alive()
    this.job.archive = name
  }
  setPreview(found: Parameters<StageContext['setPreview']>[0]): void {
    this.#alive()
    this.job.preview = found
  }
  addArtifact(artifact: Artifact): void {
    this.file('artifacts').write(Buffer.from(`${JSON.stringify(artifact)}\n`))
    this.job.artifacts.count++
    this.job.artifacts.bytes += artifact.size
  }
  artifacts(): Artifact[] {
    const file = this.file('artifacts')
    const lines = file.read(0, file.length).toString().split('\n')
    return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Artifact)
  }

  /** The end of the process: handles go, nothing is written. */
  die(): void {
    for (const key of this.#warm.keys()) this.forget(key)
    for (const key of this.files.open.keys()) this.files.close(key)
    this.#dead = true
  }
  #alive(): void {
    if (this.#dead) throw new Error('this process is dead: its context is gone')
  }
}
