import { UsageError } from './failure.ts'
import type { Io } from './io.ts'

/**
 * Passwords come from the terminal, without echo, or from standard input: never from the arguments, which
 * every user of the machine can list.
 */

/** Longer input is no password. Characters. */
const MOST = 4_096

/** Typed twice where a person types, one line else. UsageError when nothing comes or the two differ. */
export async function readNewPassword(io: Io, prompt: string): Promise<string> {
  const password = await readSecret(io, `${prompt}: `)
  if (io.stdin.isTTY === true && (await readSecret(io, `${prompt}, once more: `)) !== password)
    throw new UsageError('the two were not the same')
  return password
}

/** One that there is already. UsageError when nothing comes. */
export const readPassword = (io: Io, prompt: string): Promise<string> => readSecret(io, `${prompt}: `)

async function readSecret(io: Io, prompt: string): Promise<string> {
  const secret = io.stdin.isTTY === true ? await typed(io, prompt) : await firstLine(io)
  if (secret === '') throw new UsageError('no password was given', 'Type it, or send it to standard input.')
  return secret
}

async function firstLine({ stdin }: Io): Promise<string> {
  let text = ''
  stdin.setEncoding('utf8')
  for await (const piece of stdin) {
    text += String(piece)
    if (text.includes('\n') || text.length > MOST) break
  }
  return (text.split('\n')[0] ?? '').replace(/\r$/, '')
}

/** Raw mode: the terminal shows nothing of what is typed. */
function typed({ stdin, stderr, exit }: Io, prompt: string): Promise<string> {
  stderr.write(prompt)
  stdin.setEncoding('utf8')
  stdin.setRawMode?.(true)
  stdin.resume()
  return new Promise((resolve) => {
    let text = ''
    const end = (): void => {
      stdin.off('data', take)
      stdin.setRawMode?.(false)
      stdin.pause()
      stderr.write('\n')
    }
    const take = (piece: string | Buffer): void => {
      for (const key of String(piece)) {
        if (key === '\r' || key === '\n' || key === '\u0004') {
          end()
          return resolve(text)
        }
        if (key === '\u0003') {
          end()
          return exit(130)
        }
        if (key === '\u007f' || key === '\b') text = [...text].slice(0, -1).join('')
        else if (text.length < MOST) text += key
      }
    }
    stdin.on('data', take)
  })
}
