import { unescapeName } from '../../lib/entry-path.ts'
import type { Parts } from '../parts.ts'

/** Attributes that give rights or steer the kernel: only with the explicit flag (S-RES-4). */
const PRIVILEGED = /^(security|trusted)\./
const ALLOWED = /^(user\.|system\.posix_acl_)/

const TIMEOUT = 60_000
const OUTPUT = 1 << 20

export interface Attributed {
  /** As `setfattr` finds it: a staged name, or a path by handle. */
  readonly file: string
  readonly xattrs: Readonly<Record<string, string>>
}

export interface AttributeRules {
  readonly setuid: boolean
  readonly root: boolean
}

/** The attributes that may be set, of those an entry holds. */
export function allowedAttributes(
  xattrs: Readonly<Record<string, string>> | undefined,
  rules: AttributeRules,
): Record<string, string> {
  const found = Object.entries(xattrs ?? {}).filter(([name]) => isAllowed(name, rules))
  return Object.fromEntries(found)
}

function isAllowed(name: string, rules: AttributeRules): boolean {
  if (PRIVILEGED.test(name)) return rules.setuid && rules.root
  return ALLOWED.test(name)
}

/** Sets the attributes of many files with one program run; false if it is not there or reports an error. */
export function setAttributes(parts: Parts, folder: string, files: readonly Attributed[]): boolean {
  if (files.length === 0) return true
  if (parts.setfattr === null) return false
  const input = Buffer.from(files.map(section).join('\n'), 'utf8')
  const { code } = parts.run(parts.setfattr, ['--restore=-'], {
    timeoutMs: TIMEOUT,
    maxBuffer: OUTPUT,
    cwd: folder,
    input,
  })
  return code === 0
}

/** The format that `getfattr --dump` writes; values in base64 (`0s`). */
function section({ file, xattrs }: Attributed): string {
  const lines = Object.entries(xattrs).map(([name, value]) => `${octal(unescapeName(name))}=0s${value}`)
  return `# file: ${octal(Buffer.from(file))}\n${lines.join('\n')}\n`
}

/** Line breaks and `=` would end a name; backslashes begin an escape. */
function octal(bytes: Buffer): string {
  return [...bytes]
    .map((byte) => {
      const plain = byte > 0x20 && byte < 0x7f && byte !== 0x5c && byte !== 0x3d
      return plain ? String.fromCharCode(byte) : `\\${byte.toString(8).padStart(3, '0')}`
    })
    .join('')
}
