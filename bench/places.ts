import fs from 'node:fs'
import path from 'node:path'
import { benchRoot, makeCorpus, type CorpusName } from './corpus.ts'

const HERE = path.dirname(import.meta.dirname)

/** The command line as it is published: `npm run bench` builds it first. */
export const RATCHET = [process.execPath, path.join(HERE, 'dist/cli/main.js')] as const

/** A folder below the bench root, empty. */
function fresh(name: string): string {
  const folder = path.join(benchRoot(), 'work', name)
  fs.rmSync(folder, { recursive: true, force: true })
  fs.mkdirSync(folder, { recursive: true })
  return folder
}

/** Bytes of all files in a folder (not below it). */
export function sizeOf(folder: string): number {
  const files = fs.readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isFile())
  return files.reduce((sum, file) => sum + fs.statSync(path.join(folder, file.name)).size, 0)
}

/** The one finished archive in a folder. */
export function archiveIn(folder: string): string {
  const found = fs.readdirSync(folder).filter((name) => name.endsWith('.zip'))
  const [name] = found
  if (name === undefined || found.length > 1) throw new Error(`${folder} holds ${found.length} archives, not one`)
  return path.join(folder, name)
}

export interface BackupChoice {
  /** Work folder: data and output are made anew in it before each run. */
  readonly work: string
  readonly source: string
  readonly level: number
  readonly slice: string
  /** Default: ZIP. */
  readonly format?: 'zip' | 'jpa'
  /** Larger files are stored. Bytes. */
  readonly deflate?: number
}

export function choiceOf(name: CorpusName, level: number, slice: string, tag = ''): BackupChoice {
  return { work: fresh(`${name}${tag}`), source: makeCorpus(name).path, level, slice }
}

export const dataOf = (choice: BackupChoice): string => path.join(choice.work, 'data')
export const outputOf = (choice: BackupChoice): string => path.join(choice.work, 'out')

export function backupCommand(choice: BackupChoice): string[] {
  const { source, level, slice, format = 'zip', deflate } = choice
  const options = ['--to', outputOf(choice), '--format', format, '--level', String(level), '--slice', slice]
  if (deflate !== undefined) options.push('--deflate', String(deflate))
  return [...RATCHET, '--json', '--data', dataOf(choice), 'backup', source, ...options]
}

/** Empty data and output folders, so that no run finds what an earlier one left. */
export function clear(choice: BackupChoice): void {
  for (const folder of [dataOf(choice), outputOf(choice)]) {
    fs.rmSync(folder, { recursive: true, force: true })
    fs.mkdirSync(folder, { recursive: true })
  }
}
