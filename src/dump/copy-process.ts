import { createInterface } from 'node:readline'
import { startThread } from '../lib/thread.ts'
import type { CopyReply, CopyRequest } from './messages.ts'

/**
 * The process that copies databases: requests come in by its standard input, a line each, replies go out by its
 * output. It ends at once when its input is closed, so it never outlives whoever started it.
 */
const ALIVE = 1000

const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
const thread = startThread(new URL(`./copy-loop.${ending}`, import.meta.url), {})
const send = (reply: CopyReply): void => void process.stdout.write(`${JSON.stringify(reply)}\n`)

/** Without waiting for SQLite: an orderly exit would, and nothing here is worth keeping. */
const end = (): void => void process.kill(process.pid, 'SIGKILL')

thread.on('message', (reply: CopyReply) => send(reply))
thread.on('error', (error: Error) => process.stderr.write(`${error.message}\n`, end))
thread.on('exit', end)
process.stdout.on('error', end)
const lines = createInterface({ input: process.stdin })
lines.on('line', (line) => thread.postMessage(JSON.parse(line) as CopyRequest))
lines.on('close', end)
setInterval(() => send({ alive: true }), ALIVE)
