import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { createApp, serve } from '../../src/app.ts'
import { facadeSuite } from '../suites/facade.ts'

/** The same promises with the real engine behind the wire. */
facadeSuite('JSON-RPC over the engine', async () => {
  const folder = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'ratchet-face-')))
  const dataDir = path.join(folder, 'data')
  const roots = { sources: [folder], outputs: [folder], restores: [folder], archives: [folder] }
  fs.mkdirSync(path.join(folder, 'site'))
  fs.writeFileSync(path.join(folder, 'site/a.txt'), 'a')
  fs.mkdirSync(dataDir)
  fs.writeFileSync(
    path.join(dataDir, 'settings.json'),
    JSON.stringify({ roots, limits: { requestsPerMinute: 100_000 } }),
  )
  const app = await createApp({ dataDir, inline: true, threads: 0 })
  const sources = [{ type: 'directory', path: path.join(folder, 'site') }]
  app.services.profiles.save({ id: 1, name: 'Default', sources, output: path.join(folder, 'out') })
  const server = await serve(app, { host: '127.0.0.1', port: 0 })
  return {
    url: server.url,
    token: server.token,
    folder,
    async [Symbol.asyncDispose]() {
      await server.close()
      await app[Symbol.asyncDispose]()
      fs.rmSync(folder, { recursive: true, force: true })
    },
  }
})
