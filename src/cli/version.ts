import { createRequire } from 'node:module'

/** From package.json, which lies two folders up in a checkout (`src/cli`) and in the package (`dist/cli`) alike. */
export function version(): string {
  const found: unknown = createRequire(import.meta.url)('../../package.json')
  if (typeof found === 'object' && found !== null && 'version' in found) return String(found.version)
  return 'unknown'
}
