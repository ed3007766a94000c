import { Damage, textOf } from './content.ts'

/** Named one by one; of what comes after them only the number is kept. */
const NAMED = 1000

export interface Fault {
  readonly name: Buffer
  readonly why: string
}

/** What could not be restored or proven. */
export class Faults {
  readonly named: Fault[] = []
  count = 0

  add(name: Buffer, why: string): void {
    this.count++
    if (this.named.length < NAMED) this.named.push({ name, why })
  }
}

/** What file systems answer that do not take one name, kind or size, but others. */
const OF_ONE: ReadonlySet<string> = new Set(
  'ENAMETOOLONG EINVAL EILSEQ ENOTDIR EISDIR ELOOP EEXIST EFBIG ENOTSUP EOPNOTSUPP ENOSYS'.split(' '),
)

export const codeOf = (error: unknown): string => String((error as NodeJS.ErrnoException | null)?.code ?? '')

/** Why one entry is not in place, for errors that say nothing about the others; null for those that do. */
export function faultIn(error: unknown): string | null {
  return error instanceof Damage || OF_ONE.has(codeOf(error)) ? textOf(error) : null
}
