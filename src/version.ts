import { createRequire } from 'node:module'

function read(): string {
  // package.json lies one folder up in a checkout (`src`) and in the package (`dist`) alike.
  const found: unknown = createRequire(import.meta.url)('../package.json')
  return typeof found === 'object' && found !== null && 'version' in found ? String(found.version) : 'unknown'
}

export const VERSION = read()
