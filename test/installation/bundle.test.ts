import { globSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { bundle } from '../../src/installation/bundle.ts'
import { restoreScript } from '../../src/installation/script.ts'

const FOLDER = path.resolve(import.meta.dirname, '../../src/installation/script')
const files = globSync('*.ts', { cwd: FOLDER }).map((name) => ({
  name,
  text: readFileSync(path.join(FOLDER, name), 'utf8'),
}))

describe('the files that make the script', () => {
  it('use no name twice at their top level: they share one', () => {
    const owner = new Map<string, string>()
    for (const { name, text } of files) {
      for (const [, own = ''] of text.matchAll(/^(?:export )?(?:async )?(?:class|const|let|function\*?) ([\w$]+)/gm)) {
        expect(owner.get(own), `${own} in ${name} and ${owner.get(own)}`).toBeUndefined()
        owner.set(own, name)
      }
    }
    expect(owner.size).toBeGreaterThan(50)
  })

  it('are all in it, and leave nothing behind of their imports, exports and types', () => {
    const script = restoreScript()
    for (const { name, text } of files) {
      const [, first = ''] = /^export (?:async )?(?:class|const|function\*?) ([\w$]+)/m.exec(text) ?? []
      if (first !== '') expect(script, name).toContain(` ${first}`)
    }
    expect(script).not.toMatch(/^export |from '\.|: readonly |\binterface \w+ \{/m)
    expect(script.match(/^import /gm)?.length).toBe(new Set(script.match(/^import .*$/gm)).size)
  })

  it('have not been changed since it was made', () => {
    expect(restoreScript() === bundle(), 'run `npm run script`, and commit what it makes').toBe(true)
  })
})
