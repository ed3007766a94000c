import type { StageContext, Steps } from '../engine/stage.ts'
import type { Sink } from '../sink/sink.ts'
import type { ServerDatabase } from './named-databases.ts'
import { DumpFiles, KeptDump, type DumpSlot, type Point } from './server-dump-slot.ts'

/** Which database of how many. */
export interface Which {
  readonly database: ServerDatabase
  readonly index: number
  readonly count: number
}

/** What is known of the dump of one database: in the record, in work files, and in this process. */
export class DumpState {
  readonly ctx: StageContext
  readonly sink: Sink
  readonly which: Which
  readonly files: DumpFiles

  constructor(ctx: StageContext, sink: Sink, which: Which) {
    this.ctx = ctx
    this.sink = sink
    this.which = which
    this.files = new DumpFiles(ctx, which.index)
  }

  get slot(): DumpSlot {
    const { spec } = this.which.database
    return this.ctx.slot<DumpSlot>(this.key, () => ({
      consistency: spec.consistency ?? 'snapshot',
      instance: '',
      start: this.here(0, 0),
      unit: null,
      section: null,
      ...{ made: 0, blocks: 0, fileRows: 0, rows: 0, torn: false, restarts: 0, moved: false, outcome: null },
    }))
  }
  get key(): string {
    return `dump-${this.which.index}`
  }
  get kept(): KeptDump {
    return this.ctx.keep(this.key, () => new KeptDump())
  }

  here(made: number, rows: number): Point {
    const manifest = this.ctx.file('manifest').length
    return {
      sink: this.sink.point(),
      manifest,
      done: this.files.done.length,
      files: this.files.files.length,
      made,
      rows,
    }
  }

  forget(): void {
    this.ctx.forget('sink-warm') // what is in flight reads by it
    this.ctx.forget(this.key)
  }

  /** What came after the point never was. */
  async *back(to: Point, also: (slot: DumpSlot) => void = () => {}): Steps {
    const whole = to === this.slot.start
    yield* this.sink.rewind(to.sink, () => {
      const slot = this.slot
      this.ctx.file('manifest').rewind(to.manifest)
      this.files.done.rewind(to.done)
      this.files.files.rewind(to.files)
      if (whole) slot.unit = null
      else if (slot.unit !== null) slot.unit = { ...slot.unit, shape: null }
      slot.section = null
      Object.assign(slot, {
        made: to.made,
        rows: to.rows,
        blocks: 0,
        fileRows: 0,
        torn: false,
        instance: '',
        outcome: null,
      })
      also(slot)
    })
  }

  drop(): void {
    this.files.drop()
    this.ctx.clearSlot(this.key)
  }
}
