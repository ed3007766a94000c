import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { textOf } from './content.ts'
import { Fatal } from './parts.ts'
import { WORK_FOLDER } from './target.ts'

/** The folder for what is not in place yet, and the mark in it that says which archive is being restored. */
export interface Work {
  readonly folder: string
  /** An earlier run of this very archive was interrupted here. */
  readonly resumed: boolean
}

const MARK = 'archive'

/** Makes the target ours, which is new or empty, or holds an unfinished restore of the archive with this `identity`. */
export function claim(target: string, identity: string): Work {
  const folder = path.join(target, WORK_FOLDER)
  const mark = path.join(folder, MARK)
  fs.mkdirSync(target, { recursive: true })
  if (fs.lstatSync(folder, { throwIfNoEntry: false })?.isDirectory() === false) {
    throw new Fatal(`${folder} is not a folder`, 2)
  }
  if (fs.existsSync(mark)) {
    if (fs.readFileSync(mark, 'utf8') === identity) return { folder, resumed: true }
    throw new Fatal(`${target} holds an unfinished restore of another archive`, 2)
  }
  const found = fs.readdirSync(target).filter((name) => name !== WORK_FOLDER)
  if (found.length > 0) {
    removeEmpty(folder)
    throw new Fatal(`${target} is not empty; restore into a new folder`, 2)
  }
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 })
  writeMark(mark, identity)
  return { folder, resumed: false }
}

/** Left without its mark by a run that ended between the two last things it does. */
function removeEmpty(folder: string): void {
  if (fs.existsSync(folder) && fs.readdirSync(folder).length === 0) fs.rmdirSync(folder)
}

/** Whole under its name, or not there: half a mark would be that of another archive. */
function writeMark(mark: string, identity: string): void {
  const growing = `${mark}.new`
  const fd = fs.openSync(growing, 'w', 0o600)
  try {
    fs.writeSync(fd, identity)
    fs.fsyncSync(fd)
  } finally {
    fs.closeSync(fd)
  }
  fs.renameSync(growing, mark)
}

/** Everything is in place: onto the disk with it, and only then is it no restore any more that could be gone on with. */
export function settle(target: string, { folder }: Work): void {
  sync(target)
  for (const name of fs.readdirSync(folder)) {
    if (name !== MARK) fs.rmSync(path.join(folder, name), { recursive: true, force: true })
  }
  fs.rmSync(folder, { recursive: true, force: true })
}

/** Node has no call for it; where the program is missing the system does it in its own time. */
function sync(target: string): void {
  try {
    execFileSync('sync', ['-f', target], { stdio: 'ignore', timeout: 600_000 })
  } catch (error) {
    process.stderr.write(`note: ${target} could not be synced (${textOf(error)})\n`)
  }
}

/** A folder for a run that writes nothing else; gone when the program ends, however it does. */
export function passing(): Work {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ratchet-check-'))
  process.once('exit', () => fs.rmSync(folder, { recursive: true, force: true }))
  return { folder, resumed: false }
}
