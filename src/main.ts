import path from 'node:path'
import process from 'node:process'
import { start } from './cli/start.ts'

/** `npm start`: the server on the checkout's own data folder. Options of `ratchet serve` may follow. */
const dataDir = path.join(import.meta.dirname, '..', 'data')
await start(['serve', '--data', dataDir, ...process.argv.slice(2)])
