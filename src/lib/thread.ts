import { Worker, type WorkerOptions } from 'node:worker_threads'

export type Thread = Worker

/**
 * A thread that runs the module `entry`. Its first lines are plain JavaScript which turns the cache of compiled code
 * on, since a thread does not inherit that: in a checkout, where `entry` is TypeScript, each would else load Node's
 * type stripper (30 ms and 10 MB, if only for one file). They run as a script or as a module, as the flags of the process
 * say (`--input-type`), so they may use neither `require` nor `import … from`.
 */
export function startThread(entry: URL, options: WorkerOptions): Thread {
  const boot = `process.getBuiltinModule('node:module').enableCompileCache(); import(${JSON.stringify(entry.href)})`
  return new Worker(boot, { ...options, eval: true })
}
