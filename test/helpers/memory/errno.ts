import { getSystemErrorMap } from 'node:util'

const NUMBERS: ReadonlyMap<string, { errno: number; text: string }> = new Map(
  [...getSystemErrorMap()].map(([errno, [code, text]]) => [code, { errno, text }]),
)

/** An error of the shape Node's file calls throw. */
export function systemError(code: string, syscall: string, path?: string, dest?: string): NodeJS.ErrnoException {
  const known = NUMBERS.get(code)
  if (known === undefined) throw new Error(`no such system error: ${code}`)
  const where = path === undefined ? '' : dest === undefined ? ` '${path}'` : ` '${path}' -> '${dest}'`
  const error: NodeJS.ErrnoException & { dest?: string } = new Error(`${code}: ${known.text}, ${syscall}${where}`)
  error.errno = known.errno
  error.code = code
  error.syscall = syscall
  if (path !== undefined) error.path = path
  if (dest !== undefined) error.dest = dest
  return error
}
