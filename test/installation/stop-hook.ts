/**
 * Environment for a run of the script that ends at one of its own calls to the file system. The code below runs in each
 * of its threads before the script does, and stands between it and node:fs.
 */

/** All that changes something on the disk. */
const CALLS =
  'openSync writeSync mkdirSync renameSync symlinkSync linkSync rmSync rmdirSync ftruncateSync fsyncSync fchmodSync futimesSync lutimesSync utimesSync chmodSync'

const HOOK = `
import fs from 'node:fs'
import { isMainThread } from 'node:worker_threads'
const { STOP_AT, STOP_IN, STOP_HOW } = process.env
if (isMainThread && process.getuid() === 0) { process.setgid(65534); process.setuid(65534) }
let left = isMainThread === (STOP_IN === 'main') ? Number(STOP_AT) : -1
for (const name of '${CALLS}'.split(' ')) {
  const call = fs[name]
  fs[name] = (...args) => {
    if (name === 'openSync' && args[1] === 'r') return call(...args)
    if (STOP_HOW === 'full' && name !== 'writeSync') return call(...args)
    if (left-- !== 0) return call(...args)
    if (STOP_HOW === 'full') throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
    if (name === 'writeSync' && args[1].length > 1) call(args[0], args[1].slice(0, args[1].length >> 1))
    process.kill(process.pid, 'SIGKILL')
  }
}
`

/** Runs without special rights, also where the tests run as root. `at`: number of the call, from 0; -1: none. */
export function stopAt(at: number, thread: 'main' | 'second', how: 'kill' | 'full' = 'kill'): NodeJS.ProcessEnv {
  const hook = `data:text/javascript;base64,${Buffer.from(HOOK).toString('base64')}`
  return { NODE_OPTIONS: `--import=${hook}`, STOP_AT: String(at), STOP_IN: thread, STOP_HOW: how }
}
