import { describe, expect, test } from 'vitest'
import { createLogger } from '../../src/lib/logger.ts'
import { Redactor } from '../../src/lib/redact.ts'
import { hidePatterns, isSecretName } from '../../src/lib/secret-patterns.ts'
import { FakeClock } from '../helpers/fake-clock.ts'

/** Secrets as they stand in descriptions, paths, errors and options. `CANARY` is what must not be found afterwards. */
const CANARY = 'hunter2Canary'
const TOKEN43 = `${'aB3_'.repeat(10)}xY9`
const PLANTED: readonly string[] = [
  `password=${CANARY}`,
  `password = "${CANARY} with blanks"`,
  `note="password=${CANARY}"`,
  `x=password=${CANARY}`,
  `a: b: token: ${CANARY}`,
  `PASSWORD: ${CANARY}`,
  `the passphrase: '${CANARY}'`,
  `DB_PASSWORD=${CANARY} npm start`,
  `RESTIC_PASSWORD=${CANARY}`,
  `dbPassword=${CANARY};`,
  `{"password":"${CANARY}","user":"a"}`,
  JSON.stringify({ secret: `x"${CANARY}` }),
  JSON.stringify(JSON.stringify({ api_key: CANARY })),
  JSON.stringify(JSON.stringify(JSON.stringify({ clientSecret: CANARY }))),
  `{ accessToken: '${CANARY}' }`,
  `--password ${CANARY}`,
  `--password=${CANARY}`,
  `-token "${CANARY}"`,
  `mysql --user=root --secret-key ${CANARY} db`,
  `Authorization: Bearer ${CANARY}.abc`,
  `authorization: Basic ${Buffer.from(`u:${CANARY}`).toString('base64')} ${CANARY}`,
  `proxy-authorization=${CANARY}`,
  `Cookie: a=b; session=${CANARY}`,
  `set-cookie: sid=${CANARY}; Path=/`,
  `sent bearer ${CANARY}`,
  `https://anna:${CANARY}@example.org/x`,
  `postgres://anna:a/${CANARY}@db.example.org:5432/x?sslmode=require`,
  `redis://:${CANARY}@localhost`,
  `sftp://${CANARY}@host/path`,
  `https://example.org/a?x=1&token=${CANARY}`,
  `https://example.org/a?key=${CANARY}&x=1`,
  `https://s3.example.org/b/o?X-Amz-Credential=a&X-Amz-Signature=${CANARY}&x=2`,
  `https://blob.example.org/c?sv=1&sig=${CANARY}`,
  `https%3A%2F%2Fx%3Fpassword%3D${CANARY}`,
  `/srv/backup/password=${CANARY}/file.txt`,
  `connect failed: {"host":"a","credentials":"${CANARY}"}`,
  `accesskey=${CANARY}`,
  `AWS_SECRET_ACCESS_KEY=${CANARY}`,
  `-----BEGIN RSA PRIVATE KEY-----\n${CANARY}\n-----END RSA PRIVATE KEY-----`,
  `-----BEGIN PRIVATE KEY-----\n${CANARY} and cut off`,
]

const MADE: readonly string[] = [
  `ratchet_token_0123456789ab_${TOKEN43}`,
  `ratchet_key_${TOKEN43}_0123abcd`,
  `ratchet_session_0123456789ab_${TOKEN43}`,
  TOKEN43,
  'AKIAIOSFODNN7EXAMPLE',
  `ghp_${'a1'.repeat(18)}`,
  `github_pat_${'a1'.repeat(20)}`,
  `glpat-${'a1'.repeat(10)}`,
  `xoxb-${'1'.repeat(12)}-abc`,
  'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl',
  `sk_live_${'a1'.repeat(12)}`,
]

/** Words that a log is there for. */
const INNOCENT: readonly string[] = [
  'step 3 begins in pack for 3750 ms',
  'etc/ssl/private.key: permission denied (unreadable)',
  'www/token/index.php: grew while it was read; what was there at first is stored',
  '3120 files, 8 bytes to back up',
  `part site.zip: ${'0123456789abcdef'.repeat(4)}`,
  '20260629-121045-000001 was taken over',
  'https://example.org/a?page=2',
  'keyboard=de, monkey: 3, passage=open, authors: 12',
  'http://127.0.0.1:8484/rpc',
]

describe('what looks like a secret', () => {
  test.each(PLANTED)('is taken out: %s', (text) => {
    for (const around of [text, `x ${text} y`, `before\n${text}`]) expect(hidePatterns(around)).not.toContain(CANARY)
    expect(hidePatterns(text)).toContain('[redacted]')
  })
  test.each(MADE)('is known by its form: %s', (secret) => {
    for (const around of [secret, `at ${secret}: no`, `"${secret}"`, `(${secret})`, `/x/${secret}`])
      expect(hidePatterns(around)).not.toContain(secret)
  })
  test.each(INNOCENT)('nothing else is: %s', (text) => expect(hidePatterns(text)).toBe(text))

  test('names of members', () => {
    const secret = ['password', 'dbPassword', 'API_KEY', 'x-api-key', 'sessionToken', 'userpassword', 'Authorization']
    for (const name of secret) expect([name, isSecretName(name)]).toEqual([name, true])
    for (const name of ['path', 'passed', 'monkey', 'keyboard', 'author', 'code', 'stage', 'tokenizer'])
      expect([name, isSecretName(name)]).toEqual([name, false])
  })

  test('takes time in proportion to the text, whatever it holds', () => {
    const texts = ['a', '"', '\\', '://', 'a=', '%3D', 'password=', '-', 'ab:', '@', 'https://a?', "'", '-----BEGIN A']
    const looked = (text: string): number => hidePatterns(text.repeat(16_384 / text.length)).length
    for (const text of texts) expect(looked(text)).toBeGreaterThan(0)
  }, 5_000)
})

test('known secrets are found in every usual encoding', () => {
  const secret = 'grüße "und" /salz+pfeffer'
  const redactor = new Redactor([secret, 'ab'])
  const bytes = Buffer.from(secret)
  const forms = [
    secret,
    encodeURIComponent(secret),
    encodeURIComponent(secret).toLowerCase().replaceAll('%c3%bc', '%c3%bc'),
    bytes.toString('base64'),
    bytes.toString('base64url'),
    bytes.toString('hex'),
    bytes.toString('hex').toUpperCase(),
    JSON.stringify(secret),
  ]
  for (const form of forms) expect(redactor.text(`at ${form} end`)).toContain('[redacted]')
  for (const by of ['', 'x', 'xy', 'xyz']) {
    const inside = Buffer.from(`${by}${secret}tail`).toString('base64')
    expect(redactor.text(inside)).toContain('[redacted]')
  }
  expect(redactor.text('about')).toBe('about')
})

describe('the logger', () => {
  const lines: string[] = []
  const logger = createLogger({
    clock: new FakeClock(),
    write: (line) => void lines.push(line),
    base: { job: 7 },
    where: () => ({ step: 2, stage: 'pack', domain: undefined }),
    redactor: new Redactor(['canary-that-is-known']),
  })
  const said = (): Record<string, unknown> => JSON.parse(lines.at(-1) ?? '') as Record<string, unknown>

  test('writes one line in the shape of pino', () => {
    logger.log('warn', 'a\nb 100 % %s %d', { path: 'x\u001b[31m', code: 'omitted' })
    expect(lines.at(-1)).toMatch(/^\{"level":40,"time":\d+,.*\}\n$/)
    expect(lines.at(-1)?.indexOf('\n')).toBe((lines.at(-1)?.length ?? 0) - 1)
    const { time, ...rest } = said()
    expect(time).toEqual(expect.any(Number))
    expect(rest).toEqual({
      level: 40,
      job: 7,
      step: 2,
      stage: 'pack',
      path: 'x\u001b[31m',
      code: 'omitted',
      msg: 'a\nb 100 % %s %d',
    })
  })

  test('lets no planted secret through, in whatever member', () => {
    for (const text of PLANTED) {
      logger.log('error', text, { path: text, stack: text, code: text, password: CANARY, apiKey: CANARY })
      expect(lines.at(-1), text).not.toContain(CANARY)
    }
    for (const secret of MADE) {
      logger.log('error', `x ${secret}`, { path: `/a/${secret}` })
      expect(lines.at(-1)).not.toContain(secret)
    }
    logger.log('info', 'canary-that-is-known', { path: 'Y2FuYXJ5LXRoYXQtaXMta25vd24=' })
    expect(lines.at(-1)).not.toMatch(/canary|Y2FuYXJ5/)
  })

  test('cuts long texts after looking through them', () => {
    logger.log('info', `${'x'.repeat(1990)}password=${CANARY}`)
    expect(String(said()['msg'])).toHaveLength(2000)
    expect(lines.at(-1)).not.toContain('hunter')
  })
})
