import { enableCompileCache } from 'node:module'
import path from 'node:path'
import process from 'node:process'

/** `npm start`: the server on the checkout's own data folder. Options of `ratchet serve` may follow. */
enableCompileCache()
const { start } = await import('./cli/start.ts')
const dataDir = path.join(import.meta.dirname, '..', 'data')
await start(['serve', '--data', dataDir, ...process.argv.slice(2)])
