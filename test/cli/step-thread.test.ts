import diagnostics from 'node:diagnostics_channel'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createApp, type App } from '../../src/app.ts'
import { openBackend } from '../../src/cli/backend/open.ts'
import type { Thread } from '../../src/lib/thread.ts'
import { startStepThread } from '../../src/step-thread.ts'

const ended = (thread: Thread): Promise<number> => new Promise((resolve) => thread.once('exit', resolve))

/** One step of a verification of nothing. */
async function stepOf(app: App): Promise<string | undefined> {
  const archive = path.join(app.dataDir, 'none.zip')
  const job = await app.engine.start({ kind: 'verify', archive })
  return (await app.engine.step(job.number)).error?.code
}

describe('a step thread that was started ahead', () => {
  let folder = ''
  beforeEach(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'ratchet-ahead-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  it('takes the first step', async () => {
    const stepThread = startStepThread()
    const end = ended(stepThread)
    const app = await createApp({ dataDir: folder, stepThread })
    expect(await stepOf(app)).toBe('ARCHIVE_NOT_FOUND')
    await app[Symbol.asyncDispose]()
    expect(await end).toBe(0)
  })

  it('is replaced if it has ended before it was used', async () => {
    const stepThread = startStepThread()
    await stepThread.terminate()
    await using app = await createApp({ dataDir: folder, stepThread })
    expect(await stepOf(app)).toBe('ARCHIVE_NOT_FOUND')
  })

  it('may fail while nobody listens', () => {
    expect(startStepThread().emit('error', new Error('no memory'))).toBe(true)
  })

  it('ends with an app that never used it', async () => {
    const stepThread = startStepThread()
    const end = ended(stepThread)
    const app = await createApp({ dataDir: folder, stepThread })
    await app[Symbol.asyncDispose]()
    await end
    expect(stepThread.threadId).toBe(-1)
  })

  it('ends where the data folder cannot be used', async () => {
    const file = path.join(folder, 'file')
    writeFileSync(file, '')
    const started: Thread[] = []
    const note = (message: unknown): void => void started.push((message as { worker: Thread }).worker)
    diagnostics.subscribe('worker_threads', note)
    const opening = openBackend({ where: 'data', dataDir: file, options: [] }, true)
    await expect(opening).rejects.toMatchObject({ code: 'OUTPUT_UNWRITABLE' })
    diagnostics.unsubscribe('worker_threads', note)
    expect(started.map(({ threadId }) => threadId)).toEqual([-1])
  })
})
