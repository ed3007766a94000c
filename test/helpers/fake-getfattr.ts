import fs from 'node:fs'
import path from 'node:path'
import type { AttributeTools } from '../../src/source/getfattr.ts'

/**
 * A stand-in for getfattr that speaks its output format, so that tests do not depend on what is
 * installed: every file whose name begins with `a` has `user.name`, its own name.
 */
const SCRIPT = `#!/bin/sh
while [ "$1" != "--" ]; do shift; done
shift
for f in "$@"; do
  b="\${f##*/}"
  case "$b" in
    a*) printf '# file: %s\\nuser.name=0s%s\\nuser.empty\\n\\n' "$f" "$(printf %s "$b" | base64 -w0)" ;;
    deepest) echo "getfattr: $f: user.secret: Permission denied" >&2; status=1 ;;
    gone) echo "getfattr: $f: No such file or directory" >&2; status=1 ;;
  esac
done
exit \${status:-0}
`

export function fakeTools(folder: string, script = SCRIPT): AttributeTools {
  const getfattr = path.join(folder, `getfattr-${Buffer.from(script).length}`)
  if (!fs.existsSync(getfattr)) fs.writeFileSync(getfattr, script, { mode: 0o755 })
  return { xargs: '/usr/bin/xargs', getfattr }
}
