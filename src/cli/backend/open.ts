import type { Backend } from '../backend.ts'
import type { Reach } from '../reach.ts'

/** Each side is loaded only when it is used: asking a server needs no engine, and the other way round. */
export async function openBackend(reach: Reach): Promise<Backend> {
  if (reach.where === 'server') {
    const { RemoteBackend } = await import('./remote.ts')
    return new RemoteBackend(reach.url, reach.token, reach.options)
  }
  const { EmbeddedBackend } = await import('./embedded.ts')
  return EmbeddedBackend.open(reach.dataDir, reach.options)
}
