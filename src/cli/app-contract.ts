import type { JobView } from '../engine/job.ts'
import type { Services } from '../engine/services.ts'

/** Stand-in for the composition root's types until `src/app.ts` is there. */
export interface AppOptions {
  dataDir: string
}

export interface App extends AsyncDisposable {
  readonly services: Services
  readonly dataDir: string
  startBackup(request: {
    profile?: number
    description?: string
    comment?: string
    overrides?: Record<string, unknown>
  }): Promise<JobView>
}

export interface AppModule {
  createApp(options: AppOptions): Promise<App>
  serve(
    app: App,
    options: { host: string; port: number },
  ): Promise<{ url: string; token: string; tokenIsNew: boolean; close(): Promise<void> }>
}

export async function loadApp(): Promise<AppModule> {
  const path: string = '../app.ts'
  return (await import(path)) as AppModule
}
