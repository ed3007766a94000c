/** The public library: nothing else of this package is meant to be imported. */
export { createApp as createRatchet, serve, type App, type AppOptions, type Serving } from './app.ts'
export { RatchetClient } from './client/client.ts'
export { BackupError, type ErrorCode, type ErrorRecord } from './lib/errors.ts'
export { outcome, type Job, type JobStatus, type JobView, type Outcome } from './engine/job.ts'
export type { ArtifactInfo, Engine, JobQuery, JobSummary, Profile, Services } from './engine/services.ts'
