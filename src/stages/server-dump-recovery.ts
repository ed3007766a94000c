import { BackupError } from '../lib/errors.ts'
import type { Progress, Steps } from '../engine/stage.ts'
import { failDatabase } from './named-databases.ts'
import type { DumpState } from './server-dump-state.ts'
import type { Outcome, Unit } from './server-dump-slot.ts'

/** A unit that changes whenever it is read is read this often. */
const TRIES = 3
/** What cannot be gone on with, and was left so often, is read in a single step, however long that takes. */
export const MAY_BE_LOST = 2
/** A lost snapshot is begun again so often before the rest is read as `table`. */
const RESTARTS = 2

/**
 * What to do about an end before the end. True: reading goes on, from where the slot now says. False: the database is
 * given up, and nothing of it is in the archive. Throws where nothing but another step can help.
 */
export async function* recover(state: DumpState, outcome: Outcome): AsyncGenerator<Progress, boolean, void> {
  state.forget()
  if (outcome.kind === 'failed') {
    yield* state.back(state.slot.start)
    failDatabase(state.ctx, state.which.database, BackupError.fromRecord(outcome.error))
    state.drop()
    return false
  }
  if (state.slot.consistency === 'snapshot') yield* snapshotLost(state, outcome)
  else yield* tornOff(state, outcome)
  return true
}

type Interruption = Exclude<Outcome, { kind: 'failed' }>

/** Never a snapshot by courtesy (R26): it is begun again, or from now on nobody calls it one. */
async function* snapshotLost(state: DumpState, outcome: Interruption): Steps {
  const { spec, name } = state.which.database
  const why = outcome.kind === 'changed' ? `${outcome.what} changed` : 'the connection that held it is gone'
  if (state.slot.restarts < (spec.restarts ?? RESTARTS)) {
    state.ctx.log('info', `database ${name}: its snapshot was lost (${why}); it is read again from its beginning`)
    yield* state.back(state.slot.start, (slot) => {
      slot.restarts++
    })
    return
  }
  const what = 'its tables are from different moments'
  state.ctx.warn('database', `database ${name}: its snapshot was lost (${why}); ${what}`)
  state.slot.consistency = 'table'
  yield* tornOff(state, outcome)
}

async function* tornOff(state: DumpState, outcome: Interruption): Steps {
  if (outcome.kind === 'changed') yield* unitAgain(state, outcome.what)
  else yield* goOn(state, outcome)
}

/** Without a snapshot a lost connection costs nothing, but where rows cannot be told apart, or one was cut. */
async function* goOn(state: DumpState, { error }: Extract<Outcome, { kind: 'lost' }>): Steps {
  const { torn, section, unit, moved } = state.slot
  const stuck = torn || (section !== null && section.blocks > 0 && section.mark === null)
  if (stuck && unit !== null) yield* fromItsBeginning(state, unit)
  else {
    Object.assign(state.slot, { instance: '', outcome: null })
    yield { step: 'connecting again', durable: true }
  }
  state.slot.moved = false
  if (error !== null && !moved) throw BackupError.fromRecord(error)
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

async function* unitAgain(state: DumpState, what: string): Steps {
  const { name } = state.which.database
  const { unit, start } = state.slot
  if (unit === null) return yield* state.back(start)
  const tries = unit.tries + 1
  if (tries >= TRIES) {
    throw new BackupError('SOURCE_CHANGED', `database ${name}: ${what}: its definition changed each time it was read`, {
      hint: 'Back the database up when nobody alters its tables.',
    })
  }
  state.ctx.log('info', `database ${name}: ${what} changed while it was read; it is read again`)
  yield* state.back(unit.point, (slot) => {
    if (slot.unit !== null) slot.unit = { ...slot.unit, tries }
  })
}
