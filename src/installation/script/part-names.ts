import fs from 'node:fs'
import path from 'node:path'
import { jpaPartsSaid } from './jpa-items.ts'
import { Fatal, Joined } from './parts.ts'
import { zipPartsSaid } from './zip-items.ts'

/** All parts of the archive that `named` is one of, in order: `x.z01 … x.zip`, `x.j01 … x.jpa`. */
export function partsOf(named: string): string[] {
  const match = /^(.*)\.(zip|jpa|z\d\d+|j\d\d+)$/is.exec(path.resolve(named))
  const [, base = '', ending = ''] = match ?? []
  if (match === null) throw new Fatal(`${named} is not called like an archive (.zip, .jpa, or a part of one)`, 2)
  const letter = ending.charAt(0)
  const last = `${base}.${lastEnding(ending)}`
  if (!fs.existsSync(last)) throw new Fatal(`${last}, the archive's last part, does not exist`)
  const nameOf = (number: number): string => `${base}.${letter}${String(number).padStart(2, '0')}`
  const said = /z/i.test(letter) ? fromFile(last, zipPartsSaid) : jpaParts(last, nameOf(1))
  const parts: string[] = []
  // As many as the archive says there are: a further one may have been left by another archive.
  for (let number = 1; said === null ? fs.existsSync(nameOf(number)) : number < said; number++) {
    const part = nameOf(number)
    if (!fs.existsSync(part)) throw new Fatal(`${part} is missing: part ${number} of ${said}`)
    parts.push(part)
  }
  return [...parts, last]
}

/** A file with a header of its own that says so is the whole archive; else the first part knows. */
function jpaParts(last: string, first: string): number | null {
  const alone = fromFile(last, jpaPartsSaid)
  if (alone === 1) return 1
  if (!fs.existsSync(first)) throw new Fatal(`${last} is no JPA archive, or ${first}, its first part, is missing`)
  return fromFile(first, jpaPartsSaid)
}

function fromFile<T>(file: string, read: (archive: Joined) => T): T {
  const archive = new Joined([file])
  try {
    return read(archive)
  } finally {
    archive.close()
  }
}

function lastEnding(ending: string): string {
  const upper = ending === ending.toUpperCase() && /[A-Z]/.test(ending)
  const last = /^z/i.test(ending) ? 'zip' : 'jpa'
  return upper ? last.toUpperCase() : last
}
