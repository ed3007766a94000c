import path from 'node:path'
import type { Disk } from '../lib/disk.ts'
import { createFileOnce, ensureFolder, readFileIfThere } from '../lib/durable-file.ts'
import { asBackupError, BackupError, errnoOf } from '../lib/errors.ts'
import { MasterKey } from './master-key.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** Longer ones hold no key. Bytes. */
const LONGEST = 4096

const HINT =
  'Put the key back from where a copy is kept. If there is none, remove the lines "passwordSealed" from profiles.json, move the file away if there is one, and give the passwords again.'

/**
 * Where the master key is: in the variable RATCHET_KEY, in the file that RATCHET_KEY_FILE names, or else in
 * `<data>/key`, which is made when the first secret is stored. Read anew each time, kept nowhere. Anything but a
 * whole key that is ours alone ends what was begun (S-CRY-6): STATE_DAMAGED for the file, BAD_REQUEST for what the
 * environment says.
 */
export class Keys {
  readonly #disk: Disk
  readonly #own: string
  readonly #text: string | undefined
  readonly #file: string | undefined

  constructor(disk: Disk, folder: string, env: Environment) {
    this.#disk = disk
    this.#own = path.resolve(folder, 'key')
    this.#text = env['RATCHET_KEY']
    this.#file = env['RATCHET_KEY_FILE']
  }

  /** Files that hold it: they go into no backup, wherever they lie. */
  get files(): readonly string[] {
    return this.#file === undefined ? [this.#own] : [this.#own, this.#file]
  }

  /** What the environment says, before anything else is begun. BAD_REQUEST. */
  check(): void {
    this.#given()
  }

  /** The key that is there. */
  present(): MasterKey {
    const key = this.#given() ?? this.#read()
    if (key !== null) return key
    throw new BackupError('STATE_DAMAGED', `the key ${this.#own} is gone: passwords were sealed with it`, {
      hint: HINT,
      data: { file: this.#own },
    })
  }

  /** The same; made where there is none and nothing has been sealed that it would have to open (`needed`). */
  presentOrMade(needed: boolean): MasterKey {
    if (this.#given() === null && !needed && this.#read() === null) this.#make()
    return this.present()
  }

  #make(): void {
    try {
      ensureFolder(this.#disk, path.dirname(this.#own))
      // Whoever is first has made it; everybody reads what stands there then.
      createFileOnce(this.#disk, this.#own, Buffer.from(`${MasterKey.generate().toText()}\n`))
    } catch (error) {
      throw asBackupError(error, `cannot write the key ${this.#own}`, 'OUTPUT_UNWRITABLE')
    }
  }

  /** What the environment gives; null: nothing is said there. */
  #given(): MasterKey | null {
    if (this.#text !== undefined && this.#file !== undefined)
      throw refused('RATCHET_KEY and RATCHET_KEY_FILE both name a key', 'Set one of them.')
    if (this.#text !== undefined) {
      const key = MasterKey.parse(this.#text.trim(), { foreign: true })
      if (key !== null) return key
      throw refused('RATCHET_KEY does not hold a key', FOREIGN)
    }
    if (this.#file === undefined) return null
    if (!path.isAbsolute(this.#file)) throw refused('RATCHET_KEY_FILE is no absolute path', 'Give the whole path.')
    const key = this.#readFile(this.#file, true)
    if (key !== null) return key
    throw refused(`RATCHET_KEY_FILE names ${this.#file}, which is not there`, 'Check the path.')
  }

  #read(): MasterKey | null {
    return this.#readFile(this.#own, false)
  }

  /** null: there is no such file. */
  #readFile(file: string, foreign: boolean): MasterKey | null {
    let bytes
    try {
      const real = foreign ? realOf(this.#disk, file) : file
      if (real === null || !isPrivate(this.#disk, real, file)) return null
      bytes = readFileIfThere(this.#disk, real)
    } catch (error) {
      throw asBackupError(error, `cannot read the key ${file}`, 'STATE_DAMAGED')
    }
    if (bytes === null) return null
    const key = bytes.length > LONGEST ? null : MasterKey.parse(bytes.toString('latin1').trim(), { foreign })
    if (key !== null) return key
    const what = bytes.length === 0 ? 'is empty' : 'does not hold a whole key'
    const details = { hint: foreign ? FOREIGN : HINT, data: { file } }
    throw new BackupError('STATE_DAMAGED', `the key file ${file} ${what}`, details)
  }
}

const FOREIGN = 'It has to be 32 random bytes in hexadecimal or base64, as "openssl rand -hex 32" makes them.'

const refused = (what: string, hint: string): BackupError => new BackupError('BAD_REQUEST', what, { hint })

/** Where secrets are mounted, the name is often a link. */
function realOf(disk: Disk, file: string): string | null {
  try {
    return disk.realpath(file).toString('utf8')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw error
  }
}

/** False: there is no such file. A key that others may read is no secret any more, and is not made one by hiding it. */
function isPrivate(disk: Disk, file: string, shown: string): boolean {
  let stat
  try {
    stat = disk.lstat(file)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw error
  }
  if (stat.kind !== 'file') throw new BackupError('STATE_DAMAGED', `the key ${shown} is no file`, { hint: HINT })
  if ((stat.mode & 0o077) === 0) return true
  throw new BackupError('STATE_DAMAGED', `the key file ${shown} may be read by other accounts of this machine`, {
    hint: `If nobody can have read it, "chmod 600" makes it private again; else give the passwords new ones.`,
    data: { file: shown },
  })
}
