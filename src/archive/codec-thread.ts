import { enableCompileCache } from 'node:module'

// First of all: a thread does not inherit it, and without it each loads the type stripper (30 MB) of its own.
enableCompileCache()
await import('./codec-loop.ts')
