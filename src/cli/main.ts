#!/usr/bin/env node
import { enableCompileCache } from 'node:module'
import process from 'node:process'

// A token given as an argument would stand in every list of processes for as long as we run.
if (process.argv.some((word) => word.startsWith('--token'))) process.title = 'ratchet'
// Before anything else is loaded: compiled code is kept between runs, which halves the start and spares each thread
// the type stripper.
enableCompileCache()
const { start } = await import('./start.ts')
await start(process.argv.slice(2))
