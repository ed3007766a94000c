import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { contentOf } from './kill9-world.ts'

/** What a foreign program takes out of the archive in `output` below its folder `label`. */
export function readBack(output: string, label: string): Record<string, string> {
  const last = fs.readdirSync(output).find((name) => name.endsWith('.zip'))
  if (last === undefined) throw new Error(`there is no archive in ${output}`)
  const to = `${output}-unpacked`
  try {
    execFileSync('7z', ['x', `-o${to}`, path.join(output, last)], { stdio: ['ignore', 'ignore', 'pipe'] })
    return contentOf(path.join(to, label))
  } finally {
    fs.rmSync(to, { recursive: true, force: true })
  }
}
