import type { RestorePreview } from '../engine/services.ts'
import type { JobState } from './backend.ts'
import { exitCodeOf } from './exit.ts'
import { count, printable, size } from './format.ts'

/** The dry run of a restore, for people. */

/** Paths shown of each kind; `--json` has more, the log all but those replaced. */
const SHOWN = 10

export function previewHeadline(state: JobState): string {
  const whole = exitCodeOf(state) === 0
  return `Dry run ${state.number}: the restore ${whole ? 'can run' : 'would have gaps'}; nothing was written`
}

const HEADS = [
  ['conflicts', 'conflicts'],
  ['refused', 'refused'],
  ['damaged', 'damaged'],
  ['replaced', 'replaced'],
] as const

export function previewLines(state: JobState, found: RestorePreview): string[] {
  const { files, folders, links, bytes, need, free, special } = found
  const what = [count(files, 'file'), count(folders, 'folder'), count(links, 'link')].join(', ')
  const lines = [`  content   ${what}, ${size(bytes)}`]
  lines.push(`  room      ${size(need)} needed, ${size(free)} free${free < need ? ': not enough' : ''}`)
  if (!found.writable) lines.push('  target    this account may not write into it')
  if (found.owners === 'set') lines.push('  owners    are set as stored')
  if (found.owners === 'not_permitted') lines.push('  owners    cannot be set: only root may do that')
  if (special > 0) lines.push(`  modes     ${count(special, 'setuid, setgid or sticky bit')} left out`)
  if (found.xattrs.entries > 0) {
    const entries = `extended attributes of ${count(found.xattrs.entries, 'entry', 'entries')}`
    lines.push(
      `  attrs     ${entries} ${found.xattrs.settable ? 'are set' : 'cannot be set: setfattr is not installed'}`,
    )
  }
  for (const [kind, head] of HEADS) {
    if (found[kind] === 0) continue
    lines.push(`  ${head.padEnd(10)}${count(found[kind], 'entry', 'entries')}`)
    for (const { path, why } of found.paths[kind].slice(0, SHOWN)) {
      lines.push(`            ${printable(why === undefined ? path : `${path}: ${why}`)}`)
    }
    if (found[kind] > SHOWN) lines.push('            …')
  }
  if (state.warnings.total > 0) {
    lines.push(`  warnings  ${count(state.warnings.total)} (ratchet log ${state.number})`)
  }
  return lines
}
