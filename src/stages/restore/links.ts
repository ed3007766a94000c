import type { StageContext } from '../../engine/stage.ts'
import { BackupError, errnoOf } from '../../lib/errors.ts'
import type { TargetTree } from './handles.ts'
import type { LinkNote } from './lists.ts'
import { split } from './plan.ts'
import { mayReplaceLink } from './present.ts'
import { restoreSpec } from './slots.ts'
import type { Staging } from './staging.ts'

/** What the kernel takes as a link's target. Bytes. */
const LONGEST = 4095
const STAGED = 'link'

/** Makes one symbolic link. ENTRY_REFUSED if it leaves the target or something else is there already. */
export function placeLink(ctx: StageContext, tree: TargetTree, staging: Staging, note: LinkNote): void {
  const components = split(note.path)
  const parent = components.slice(0, -1)
  const leaf = components.at(-1) ?? Buffer.alloc(0)
  const isFolder = (at: readonly Buffer[]): boolean => isRealFolder(tree, at)
  judgeLink({ root: tree.root.path, isFolder, outsideToo: restoreSpec(ctx).outsideLinks }, parent, note.target)
  const { folder } = tree.open(parent, true)
  mayReplaceLink(ctx.disk, folder, leaf)
  staging.remove(STAGED)
  const staged = staging.path(STAGED)
  ctx.disk.symlink(note.target, staged)
  const { uid, gid, mtime } = note.metadata
  if (uid !== null && gid !== null) ctx.disk.lchown(staged, uid, gid)
  if (mtime !== null) ctx.disk.lutimes(staged, mtime, mtime)
  ctx.disk.rename(staged, folder.child(leaf))
  tree.changed(folder)
}

/** What a link's target is judged by. */
export interface LinkRules {
  /** Path of the restore's target. */
  readonly root: Buffer
  /** Whether these components are a real folder below the target once all files are there. */
  isFolder(components: readonly Buffer[]): boolean
  /** Links may leave the target. */
  readonly outsideToo: boolean
}

/** ENTRY_REFUSED for a target that cannot be, or leaves the restored folder. `parent`: where the link lies. */
export function judgeLink(rules: LinkRules, parent: readonly Buffer[], target: Buffer): void {
  checkTarget(target)
  if (rules.outsideToo || !leavesTarget(rules, parent, target)) return
  throw refused('its target lies outside the restored folder')
}

function checkTarget(target: Buffer): void {
  if (target.length === 0) throw refused('its target is empty')
  if (target.length > LONGEST) throw refused(`its target is longer than ${LONGEST} bytes`)
  if (target.includes(0)) throw refused('its target holds a NUL')
}

/**
 * Whether following the link can lead out of the target. Going up is judged only from real folders: a
 * name before `..` might be a link that leads elsewhere.
 */
function leavesTarget({ root, isFolder }: LinkRules, parent: readonly Buffer[], target: Buffer): boolean {
  let at = [...parent]
  let rest = target
  if (target[0] === 0x2f) {
    const inside = target.equals(root) || target.subarray(0, root.length + 1).equals(Buffer.concat([root, SLASH]))
    if (!inside) return true
    at = []
    rest = target.subarray(root.length + 1)
  }
  let named = false
  for (const name of split(rest)) {
    const text = name.toString('latin1')
    if (text === '' || text === '.') continue
    if (text !== '..') {
      at.push(name)
      named = true
      continue
    }
    if (at.length === 0 || (named && !isFolder(at))) return true
    at.pop()
  }
  return false
}

const SLASH = Buffer.from('/')

export function isRealFolder(tree: TargetTree, components: readonly Buffer[]): boolean {
  try {
    tree.open(components, false)
    return true
  } catch (error) {
    if (errnoOf(error) === undefined) throw error
    return false
  }
}

const refused = (why: string): BackupError => new BackupError('ENTRY_REFUSED', why)
