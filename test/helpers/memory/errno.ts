import { constants } from 'node:os'
import { getSystemErrorMap } from 'node:util'

const NUMBERS: ReadonlyMap<string, { errno: number; text: string }> = new Map(
  [...getSystemErrorMap()].map(([errno, [code, text]]) => [code, { errno, text }]),
)

/** An error of the shape Node's file calls throw. */
export function systemError(code: string, syscall: string, path?: string, dest?: string): NodeJS.ErrnoException {
  const known = NUMBERS.get(code) ?? unnamed(code)
  const shown = known.text.startsWith('Unknown') ? known.text : code
  const where = path === undefined ? '' : dest === undefined ? ` '${path}'` : ` '${path}' -> '${dest}'`
  const error: NodeJS.ErrnoException & { dest?: string } = new Error(`${shown}: ${known.text}, ${syscall}${where}`)
  error.errno = known.errno
  error.code = shown
  error.syscall = syscall
  if (path !== undefined) error.path = path
  if (dest !== undefined) error.dest = dest
  return error
}

/** What Node has no name for reaches us as a number. */
function unnamed(code: string): { errno: number; text: string } {
  const errno = new Map(Object.entries(constants.errno)).get(code)
  if (errno === undefined) throw new Error(`no such system error: ${code}`)
  return { errno: -errno, text: `Unknown system error ${-errno}` }
}
