import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { MysqlSession, type MysqlTarget } from '../../src/dump/mysql/session.ts'
import { hasMariadb, startMariadb, type MariadbServer } from '../servers/mariadb.ts'

const hasOpenssl = spawnSync('openssl', ['version']).status === 0

let server: MariadbServer
let folder: string
let ca: string
const target = (): Omit<MysqlTarget, 'tls'> => ({
  host: '127.0.0.1',
  port: server.port,
  user: 'me',
  password: 'x',
  database: 'shop',
})

/** A key and a certificate for these names, by an authority of the test's own. */
function certify(name: string, names: string): void {
  const openssl = (...args: string[]): void => {
    const ran = spawnSync('openssl', args, { cwd: folder, encoding: 'utf8' })
    if (ran.status !== 0) throw new Error(ran.stderr)
  }
  const fresh = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
  openssl('req', '-x509', ...fresh, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=authority')
  const by = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-addext', `subjectAltName=${names}`]
  openssl('req', '-x509', ...fresh, ...by, '-keyout', `${name}.key`, '-out', `${name}.pem`, '-subj', `/CN=${name}`)
}

async function start(names: string): Promise<void> {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ratchet-tls-'))
  certify('server', names)
  ca = fs.readFileSync(path.join(folder, 'ca.pem'), 'utf8')
  const at = (file: string): string => path.join(folder, file)
  server = await startMariadb([`--ssl-cert=${at('server.pem')}`, `--ssl-key=${at('server.key')}`])
  await server.root.query("CREATE DATABASE shop; CREATE USER me IDENTIFIED BY 'x'; GRANT SELECT ON shop.* TO me")
}

describe.skipIf(!hasMariadb || !hasOpenssl).each([
  ['a name', 'DNS:db.example,DNS:localhost', { name: 'db.example' }],
  ['an address', 'IP:127.0.0.1', {}],
])('a certificate for %s', (_, names, right) => {
  beforeAll(() => start(names), 90_000)
  afterAll(async () => {
    await server[Symbol.asyncDispose]()
    fs.rmSync(folder, { recursive: true, force: true })
  })

  test('is taken for that', async () => {
    await using session = await MysqlSession.open({ ...target(), tls: { ca, ...right } })
    const [status] = await session.facts("SHOW STATUS LIKE 'Ssl_version'")
    expect(status?.['Value']).toMatch(/^TLSv1\.[23]$/)
  })

  test('is refused for anything else, and where nobody trusts it', async () => {
    const wrong = names.startsWith('IP')
      ? [{ name: 'localhost' }, { name: 'db.example' }]
      : [{}, { name: 'other.example' }]
    for (const tls of [...wrong.map((one) => ({ ca, ...one })), right]) {
      await expect(MysqlSession.open({ ...target(), tls }), JSON.stringify(tls)).rejects.toMatchObject({
        code: 'UNREACHABLE',
        retry: 'never',
      })
    }
  })
})
