#!/usr/bin/env node
import { enableCompileCache } from 'node:module'
import process from 'node:process'

// Before anything else is loaded: compiled code is kept between runs, which halves the start and spares each thread
// the type stripper.
enableCompileCache()
const { start } = await import('./start.ts')
await start(process.argv.slice(2))
