import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { createApp } from '../../src/app.ts'
import { isEnded, type JobView } from '../../src/engine/job.ts'

/** Secrets in descriptions, names, patterns and paths of whole jobs, one of which fails: none of them in any log (S-LOG-1). */

const CANARY = 'hunter2Canary'

it('no planted secret in the log of any job', { timeout: 60_000 }, async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ratchet-log-secrets-'))
  onTestFinished(() => fs.rmSync(folder, { recursive: true }))
  await using app = await createApp({ dataDir: path.join(folder, 'data'), threads: 0 })
  const { token } = app.token()
  const hex = Buffer.from(token).toString('hex')
  const site = path.join(folder, `token=${CANARY}`)
  fs.mkdirSync(site)
  // What cannot be kept is named in the log.
  const names = [`password=${CANARY}`, `Authorization: Bearer ${CANARY}`, hex, token]
  const left = names.map((name) => path.join(site, name))
  for (const file of left) execFileSync('mkfifo', [file])
  const run = async (job: JobView): Promise<JobView> => (isEnded(job) ? job : run(await app.engine.step(job.number)))
  const sources = [{ type: 'directory' as const, path: site, exclude: [`apikey=${CANARY}/**`] }]
  const words = { description: `password: ${CANARY}`, comment: `{"secret":"${CANARY}"}` }
  const backup = await run(
    await app.startBackup({ ...words, overrides: { sources, output: path.join(folder, `out-key=${CANARY}`) } }),
  )
  expect([backup.status, backup.warnings.total >= names.length]).toEqual(['completed', true])
  const archive = path.join(folder, `pwd=${CANARY}.zip`)
  fs.writeFileSync(archive, 'no archive')
  const verify = await run(await app.engine.start({ kind: 'verify', archive, ...words }))
  expect(verify.status).toBe('failed')
  const logs = [backup, verify].map(({ number }) =>
    fs.readFileSync(path.join(folder, `data/jobs/${number}/log.txt`), 'utf8'),
  )
  expect(logs[0]).toMatch(/"code":"omitted"/)
  expect(logs[1]).toMatch(/"level":50,.*"code":"VERIFY_FAILED"/)
  const page = JSON.stringify(await Promise.all([backup, verify].map(({ number }) => app.engine.log(number))))
  for (const secret of [token, hex, CANARY]) for (const text of [...logs, page]) expect(text).not.toContain(secret)
})
