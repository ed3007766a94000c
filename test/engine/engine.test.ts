import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { memoryCatalogue, sqliteCatalogue, type Catalogue } from '../../src/engine/catalogue.ts'
import { RatchetEngine } from '../../src/engine/engine.ts'
import { inlineRunner } from '../../src/engine/runner.ts'
import { WarmStore } from '../../src/engine/warm.ts'
import { realDisk } from '../../src/lib/disk.ts'
import { openStages } from '../../src/step-parts.ts'
import { BenchJob, codeOf, DATA, OUT, type BenchProcess } from '../helpers/bench-job.ts'
import { namesIn, published } from '../helpers/bench-check.ts'
import { contentOf, treeOf } from '../helpers/disk-tree.ts'
import { createHash } from 'node:crypto'

const OPTIONS = { slices: 'some', source: { large: 0 }, partSize: 65_536 } as const

/** Several backups in one data folder, one after the other. */
async function backups(count: number): Promise<{ job: BenchJob; process: BenchProcess }> {
  const job = new BenchJob(OPTIONS)
  const process = job.boot()
  for (let n = 1; n <= count; n++) {
    let reply = await process.engine.start({ kind: 'backup', spec: job.spec })
    while (reply.status === 'running') reply = await process.engine.step(reply.number)
    expect(reply.status).toBe('completed')
  }
  return { job, process }
}

const CATALOGUES: readonly (readonly [string, (folder: string) => Catalogue])[] = [
  ['in memory', () => memoryCatalogue()],
  ['in a cache file', (folder) => sqliteCatalogue(realDisk, folder)],
]

describe.each(CATALOGUES)('the list of jobs, with a catalogue %s', (_name, open) => {
  it('is that of the folders, whoever worked, removed or died there', async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'engine-'))
    try {
      const { job, process } = await backups(3)
      // Another server on the same folders, with a catalogue of its own that has seen nothing.
      const { store } = job.boot()
      const parts = openStages({ dataDir: DATA, threads: 0 })
      const runner = inlineRunner({ store, stages: parts.stages, warm: new WarmStore() })
      const other = new RatchetEngine({ store, runner, catalogue: open(folder) })
      expect((await other.list()).jobs.map(({ number, status }) => [number, status])).toEqual([
        [3, 'completed'],
        [2, 'completed'],
        [1, 'completed'],
      ])
      const begun = await process.engine.start({ kind: 'backup', spec: job.spec })
      expect((await other.list()).jobs[0]).toMatchObject({ number: 4, status: 'running' })
      let reply = begun
      while (reply.status === 'running') reply = await process.engine.step(4)
      expect((await other.list()).jobs[0]).toMatchObject({ number: 4, status: 'completed', archive: 'site-4' })
      await process.engine.remove(2)
      expect((await other.list()).jobs.map(({ number }) => number)).toEqual([4, 3, 1])
      expect((await other.list({ status: 'completed', limit: 1, offset: 1 })).jobs[0]?.number).toBe(3)
      await other.close()
      await process[Symbol.asyncDispose]()
    } finally {
      fs.rmSync(folder, { recursive: true, force: true })
    }
  })
})

describe('a finished backup', () => {
  it('names its files with sizes and digests that are theirs', async () => {
    const { job, process } = await backups(2)
    const all = [...(await process.engine.artifacts(1)), ...(await process.engine.artifacts(2))]
    expect(all.map((artifact) => artifact.path).toSorted()).toEqual(
      [...published(job.disk).keys()].map((name) => `${OUT}/${name}`).toSorted(),
    )
    for (const { path: file, name, size, sha256 } of all) {
      const bytes = contentOf(job.disk, file)
      expect([path.basename(file), bytes.length, createHash('sha256').update(bytes).digest('hex')]).toEqual([
        name,
        size,
        sha256,
      ])
    }
    await process[Symbol.asyncDispose]()
  })

  it('is removed whole, and its number is not given again', async () => {
    const { job, process } = await backups(2)
    const kept = (await process.engine.artifacts(1)).map(({ name }) => name)
    await process.engine.remove(2)
    expect(namesIn(job.disk, OUT)).toEqual(kept)
    expect(namesIn(job.disk, `${DATA}/jobs`)).toEqual(['1', 'last'])
    expect(await process.engine.get(2).catch(codeOf)).toBe('JOB_NOT_FOUND')
    expect(await process.engine.remove(2).catch(codeOf)).toBe('JOB_NOT_FOUND')
    expect((await process.engine.start({ kind: 'backup', spec: job.spec })).number).toBe(3)
    await process[Symbol.asyncDispose]()
  })

  it('is found by its id', async () => {
    const { process } = await backups(2)
    const { id } = await process.engine.get(2)
    expect(await process.engine.resolve(id)).toBe(2)
    for (const wrong of ['', '2', id.replace('2026', '2027'), `${id}9`, '../../etc/passwd', '20260629-121045-000009']) {
      expect(await process.engine.resolve(wrong).catch(codeOf)).toBe('JOB_NOT_FOUND')
    }
    await process[Symbol.asyncDispose]()
  })
})

describe('a job that has not ended', () => {
  it('cannot be removed, and has no files to name', async () => {
    const job = new BenchJob({ ...OPTIONS, slices: 'each' })
    await using process = job.boot()
    await job.call(process)
    const before = treeOf(job.disk)
    expect(await process.engine.remove(1).catch(codeOf)).toBe('JOB_RUNNING')
    expect(await process.engine.artifacts(1)).toEqual([])
    expect(treeOf(job.disk)).toEqual(before)
  })
})

describe('the log', () => {
  it('tells the intent of each step before it begins, and survives a torn end', async () => {
    const { job, process } = await backups(1)
    const { lines, total, next } = await process.engine.log(1)
    expect(next).toBe(total + 1)
    expect(lines.map((line) => line.line)).toEqual(lines.map((_, i) => i + 1))
    const begins = lines
      .filter((line) => /^step \d+ begins/.test(line.message))
      .map((line) => Number(/\d+/.exec(line.message)?.[0]))
    expect(begins).toEqual(begins.map((_, i) => i + 1))
    expect(lines.at(-1)?.message).toBe('the job is completed')
    const fd = job.disk.open(`${DATA}/jobs/1/log.txt`, 'update')
    job.disk.truncate(fd, job.disk.fstat(fd).size - 9)
    job.disk.close(fd)
    const torn = await process.engine.log(1)
    expect(torn).toEqual({ lines: lines.slice(0, -1), next: total, total: total - 1 })
    expect(await process.engine.log(1, { from: total + 5, limit: 10 })).toEqual({
      lines: [],
      next: total + 5,
      total: total - 1,
    })
    expect(await process.engine.log(9).catch(codeOf)).toBe('JOB_NOT_FOUND')
    await process[Symbol.asyncDispose]()
  })
})
