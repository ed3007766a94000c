import { BackupError } from '../lib/errors.ts'
import type { Progress, Steps } from '../engine/stage.ts'
import { failDatabase } from './named-databases.ts'
import type { DumpState } from './server-dump-state.ts'
import type { Outcome, Unit } from './server-dump-slot.ts'

/** A unit that changes whenever it is read is read this often. */
const TRIES = 3
/** What cannot be gone on with, and was left so often, is read in a single step, however long that takes. */
export const MAY_BE_LOST = 2
/** A database that the run can do without is given up after so many failed steps in a row. */
export const PATIENCE = 4
/** A lost snapshot is begun again so often before the rest is read as `table`. */
const RESTARTS = 2

/**
 * What to do about an end before the end. True: reading goes on, from where the slot now says. False: the database is
 * given up, and nothing of it is in the archive. Throws where nothing but another step can help.
 */
export async function* recover(state: DumpState, outcome: Outcome): AsyncGenerator<Progress, boolean, void> {
  state.forget()
  if (outcome.kind === 'failed') return yield* giveUp(state, BackupError.fromRecord(outcome.error))
  if (state.slot.consistency === 'snapshot') return yield* snapshotLost(state, outcome)
  return yield* tornOff(state, outcome)
}

type Recovery = AsyncGenerator<Progress, boolean, void>

/** Ends the run where that cannot do without this database. */
async function* giveUp(state: DumpState, error: BackupError): Recovery {
  state.slot.outcome = { kind: 'failed', error: error.toRecord() } // a step may end on the way back
  yield* state.back(state.slot.start)
  failDatabase(state.ctx, state.which.database, error)
  state.drop()
  return false
}

type Interruption = Exclude<Outcome, { kind: 'failed' }>

/** Never a snapshot by courtesy (R26): it is begun again, or from now on nobody calls it one. */
async function* snapshotLost(state: DumpState, outcome: Interruption): Recovery {
  const { spec, name } = state.which.database
  const why = outcome.kind === 'changed' ? `${outcome.what} changed` : 'the connection that held it is gone'
  if (state.slot.restarts < (spec.restarts ?? RESTARTS)) {
    state.ctx.log('info', `database ${name}: its snapshot was lost (${why}); it is read again from its beginning`)
    yield* state.back(state.slot.start, (slot) => {
      slot.restarts++
    })
    return true
  }
  const what = 'its tables are from different moments'
  state.ctx.warn('database', `database ${name}: its snapshot was lost (${why}); ${what}`)
  state.slot.consistency = 'table'
  return yield* tornOff(state, outcome)
}

async function* tornOff(state: DumpState, outcome: Interruption): Recovery {
  if (outcome.kind === 'changed') return yield* unitAgain(state, outcome.what)
  return yield* goOn(state, outcome)
}

/** Without a snapshot a lost connection costs nothing, but where rows cannot be told apart, or one was cut. */
async function* goOn(state: DumpState, { error }: Extract<Outcome, { kind: 'lost' }>): Recovery {
  const { torn, section, unit, moved } = state.slot
  const stuck = torn || (section !== null && section.blocks > 0 && section.mark === null)
  // What was read of a thing that begins again and again is no way on: a server may break at one row of it.
  const hopeless = error !== null && (!moved || (stuck && (unit?.losses ?? 0) >= MAY_BE_LOST))
  const { ctx, which } = state
  if (hopeless && !which.database.critical && ctx.job.attempts >= PATIENCE) {
    return yield* giveUp(state, BackupError.fromRecord(error))
  }
  if (stuck && unit !== null) yield* fromItsBeginning(state, unit)
  else {
    Object.assign(state.slot, { instance: '', outcome: null })
    yield { step: 'connecting again', durable: true }
  }
  state.slot.moved = false
  if (hopeless) throw BackupError.fromRecord(error)
  return true
}

async function* fromItsBeginning(state: DumpState, unit: Unit): Steps {
  const losses = unit.losses + 1
  if (losses === MAY_BE_LOST) {
    const what = `${unit.name.slice(unit.name.indexOf(':') + 1)} has no key to go on by and was begun ${losses} times`
    state.ctx.warn('database', `database ${state.which.database.name}: ${what}: it is read in one step now`)
  }
  yield* state.back(unit.point, (slot) => {
    if (slot.unit !== null) slot.unit = { ...slot.unit, losses }
  })
}

async function* unitAgain(state: DumpState, what: string): Recovery {
  const { name } = state.which.database
  const { unit, start } = state.slot
  if (unit === null) {
    yield* state.back(start)
    return true
  }
  const tries = unit.tries + 1
  if (tries >= TRIES) {
    const message = `database ${name}: ${what}: its definition changed each time it was read`
    const hint = 'Back the database up when nobody alters its tables.'
    return yield* giveUp(state, new BackupError('SOURCE_CHANGED', message, { hint }))
  }
  state.ctx.log('info', `database ${name}: ${what} changed while it was read; it is read again`)
  yield* state.back(unit.point, (slot) => {
    if (slot.unit !== null) slot.unit = { ...slot.unit, tries }
  })
  return true
}
