import { execFileSync } from 'node:child_process'
import { Worker } from 'node:worker_threads'
import { once } from 'node:events'
import { expect, it } from 'vitest'

// The machine's own Node may be older; `npm test` must put the pinned one in front everywhere.
const pinned = (version: string): boolean => {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major > 24 || (major === 24 && minor >= 7)
}

it('runs tests, children by execPath, children by name and worker threads under the pinned Node', async () => {
  const print = ['-p', 'process.versions.node']
  const worker = new Worker('require("node:worker_threads").parentPort.postMessage(process.versions.node)', {
    eval: true,
  })
  const [threaded] = (await once(worker, 'message')) as [string]
  await worker.terminate()
  const versions = {
    test: process.versions.node,
    execPath: execFileSync(process.execPath, print, { encoding: 'utf8' }).trim(),
    byName: execFileSync('node', print, { encoding: 'utf8' }).trim(),
    worker: threaded,
  }
  expect(Object.entries(versions).filter(([, version]) => !pinned(version))).toEqual([])
})
