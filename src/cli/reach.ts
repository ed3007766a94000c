import { homedir } from 'node:os'
import path from 'node:path'
import { UsageError } from './failure.ts'
import type { Io } from './io.ts'

/** Where Ratchet is: a data folder opened by this process, or a server. */
export type Reach =
  | { readonly where: 'data'; readonly dataDir: string; readonly options: readonly string[] }
  | { readonly where: 'server'; readonly url: string; readonly token: string; readonly options: readonly string[] }

export interface ReachOptions {
  data?: string
  url?: string
  token?: string
}

type Place = Pick<Io, 'env' | 'cwd'>

/** `$XDG_STATE_HOME/ratchet`, else `~/.local/state/ratchet`; relative values are invalid by that specification. */
function defaultDataDir(env: Io['env']): string {
  const state = env['XDG_STATE_HOME']
  const base =
    state !== undefined && path.isAbsolute(state) ? state : path.join(env['HOME'] || homedir(), '.local/state')
  return path.join(base, 'ratchet')
}

export function dataDirOf(options: ReachOptions, io: Place): string {
  if (options.data !== undefined) return path.resolve(io.cwd, options.data)
  const fromEnv = io.env['RATCHET_DATA']
  return fromEnv ? path.resolve(fromEnv) : defaultDataDir(io.env)
}

/** Flags win over the environment; two flags that contradict each other are refused. */
export function reachOf(options: ReachOptions, io: Place): Reach {
  if (options.data !== undefined && options.url !== undefined) {
    throw new UsageError(
      '--data and --url name two different places',
      'Give one of them: --data works in this process, --url asks a server.',
    )
  }
  const url = options.url ?? (options.data === undefined ? io.env['RATCHET_URL'] : undefined)
  if (!url) {
    const given = options.data !== undefined
    const dataDir = dataDirOf(options, io)
    return { where: 'data', dataDir, options: given ? ['--data', dataDir] : [] }
  }
  const token = options.token ?? io.env['RATCHET_TOKEN'] ?? ''
  return { where: 'server', url: checkedUrl(url), token, options: options.url === undefined ? [] : ['--url', url] }
}

function checkedUrl(text: string): string {
  const url = URL.parse(text)
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new UsageError(`"${text}" is not the address of a server`, 'Write it like http://127.0.0.1:8731.')
  }
  if (url.username !== '' || url.password !== '') {
    throw new UsageError('an address must hold no user and no password', 'The token goes into RATCHET_TOKEN.')
  }
  return url.href.replace(/\/+$/, '')
}
