import { compileFilter } from '../lib/filter.ts'
import { walkOf, type DirectoryEnv, type LabelledDirectory } from './directory.ts'
import { Folders } from './folders.ts'
import { decodeMark } from './mark.ts'
import type { Mark } from './source.ts'

/** How far counting has come; plain JSON, fit for a slot. */
export type CountState = {
  /** Counting goes on strictly after it. */
  mark: Mark | null
  /** Regular files, and the sum of their sizes. */
  files: number
  bytes: number
  /** Everything that would be stored: files, folders, links. */
  entries: number
  done: boolean
}

export function newCount(): CountState {
  return { mark: null, files: 0, bytes: 0, entries: 0, done: false }
}

/** Items between two yields: well below a millisecond, but for a disk that has to be asked for each. */
const EVERY = 64

/**
 * Counts what a source holds, for progress only: nothing is opened but folders. `state` is changed
 * in place and is true at every yield; a call with it goes on from there.
 */
export async function* countDirectory(
  spec: LabelledDirectory,
  env: DirectoryEnv,
  state: CountState,
): AsyncGenerator<CountState, CountState> {
  using folders = new Folders(env.disk)
  if (state.done) return state
  const walk = walkOf(spec, env, compileFilter(spec), folders)
  let since = 0
  let last: { readonly mark: Mark | null } = state
  for (const item of walk.items(state.mark === null ? null : decodeMark(state.mark))) {
    if (item.type === 'entry') {
      state.entries++
      if (item.kind === 'file') {
        state.files++
        state.bytes += item.stat.size
      }
    }
    if (item.type !== 'pause') last = item
    else if (item.mark !== undefined) last = { mark: item.mark }
    if (item.type !== 'pause' && ++since < EVERY) continue
    since = 0
    state.mark = last.mark
    yield state
  }
  state.done = true
  return state
}
