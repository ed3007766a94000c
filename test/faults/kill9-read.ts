import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { readJpaText } from '../helpers/jpa-text.ts'
import { contentOf } from './kill9-world.ts'

/** What a foreign program (or a reader made from the format's description) takes out of the archive in `output` below its folder `label`. */
export function readBack(output: string, label: string): Record<string, string> {
  const names = fs.readdirSync(output)
  if (names.some((name) => name.endsWith('.jpa'))) return readJpa(output, names, label)
  const last = names.find((name) => name.endsWith('.zip'))
  if (last === undefined) throw new Error(`there is no archive in ${output}`)
  const to = `${output}-unpacked`
  try {
    execFileSync('7z', ['x', `-o${to}`, path.join(output, last)], { stdio: ['ignore', 'ignore', 'pipe'] })
    return contentOf(path.join(to, label))
  } finally {
    fs.rmSync(to, { recursive: true, force: true })
  }
}

function readJpa(output: string, names: readonly string[], label: string): Record<string, string> {
  const sorted = [
    ...names.filter((name) => /\.j\d+$/.test(name)).toSorted(),
    ...names.filter((n) => n.endsWith('.jpa')),
  ]
  const { entities } = readJpaText(sorted.map((name) => fs.readFileSync(path.join(output, name))))
  const found: Record<string, string> = {}
  for (const { name, type, data } of entities) {
    const text = name.toString().replace(/\/$/, '')
    if (!text.startsWith(`${label}/`)) continue
    found[text.slice(label.length + 1)] = type === 1 ? createHash('sha256').update(data).digest('hex') : 'folder'
  }
  return found
}
