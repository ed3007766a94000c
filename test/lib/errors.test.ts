import { describe, expect, it } from 'vitest'
import { asBackupError, BackupError, errnoOf, ERROR_RULES, type ErrorCode } from '../../src/lib/errors.ts'
import { codeOf } from '../suites/disk.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import { systemError } from '../helpers/memory/errno.ts'

const codes = Object.keys(ERROR_RULES) as ErrorCode[]

describe('BackupError', () => {
  it('knows for each code whether to try again and what to do', () => {
    for (const code of codes) {
      const error = new BackupError(code, 'what happened')
      expect(error.hint).toMatch(/^[A-Z].*\.$/)
      expect(['never', 'later']).toContain(error.retry)
      expect(error.toRecord()).toEqual({ code, message: 'what happened', hint: error.hint, retry: error.retry })
    }
  })
  it('lets the one who knows say otherwise', () => {
    const cause = new Error('why')
    const error = new BackupError('IO_ERROR', 'x', {
      hint: 'Do this.',
      retry: 'never',
      data: { path: '/a', n: 1 },
      cause,
    })
    expect(error.cause).toBe(cause)
    expect(error.toRecord()).toEqual({
      code: 'IO_ERROR',
      message: 'x',
      hint: 'Do this.',
      retry: 'never',
      data: { path: '/a', n: 1 },
    })
  })
  it('survives a record, without its cause', () => {
    for (const data of [undefined, { step: 3, name: null, yes: true }]) {
      const error = new BackupError('JOB_BUSY', 'taken', data === undefined ? {} : { data })
      const sent = JSON.parse(JSON.stringify(error.toRecord())) as ReturnType<BackupError['toRecord']>
      expect(BackupError.fromRecord(sent)).toEqual(error)
      expect(BackupError.fromRecord(sent).toRecord()).toEqual(sent)
    }
  })
  it('hands out its data as a copy', () => {
    const error = new BackupError('JOB_BUSY', 'taken', { data: { step: 3 } })
    Object.assign(error.toRecord().data ?? {}, { step: 4 })
    expect(error.data).toEqual({ step: 3 })
  })
})

describe('errors of others', () => {
  it('recognises the system’s', () => {
    expect(errnoOf(systemError('ENOENT', 'open', '/x'))).toBe('ENOENT')
    expect(codeOf(() => new MemoryDisk().lstat('/x'))).toBe('ENOENT')
    expect(systemError('EDQUOT', 'write').code).toMatch(/^Unknown system error/)
    expect(errnoOf(systemError('EDQUOT', 'write'))).toBe('EDQUOT')
    for (const other of [new Error('x'), { code: 'ENOENT' }, 'ENOENT', null, undefined]) {
      expect(errnoOf(other)).toBeUndefined()
    }
    expect(errnoOf(Object.assign(new Error('x'), { code: 42 }))).toBeUndefined()
  })
  it.each([
    ['ENOSPC', 'DISK_FULL', 'later'],
    ['EDQUOT', 'DISK_FULL', 'later'],
    ['EROFS', 'READ_ONLY', 'never'],
    ['EMFILE', 'TOO_MANY_FILES', 'later'],
    ['ENFILE', 'TOO_MANY_FILES', 'later'],
    ['EIO', 'IO_ERROR', 'later'],
    ['EACCES', 'OUTPUT_UNWRITABLE', 'never'],
  ])('wraps %s as %s', (errno, code, retry) => {
    const cause = systemError(errno, 'write', '/out/x')
    const error = asBackupError(cause, 'writing the archive', 'OUTPUT_UNWRITABLE')
    expect(error).toMatchObject({ code, retry, cause })
    expect(error.message).toBe(`writing the archive: ${cause.message}`)
  })
  it('leaves its own alone, and calls the rest a fault of the program', () => {
    const own = new BackupError('CANCELLED', 'x')
    expect(asBackupError(own, 'anything')).toBe(own)
    expect(asBackupError('a string', '')).toMatchObject({ code: 'INTERNAL', message: 'a string' })
    expect(asBackupError(new TypeError('oops'), 'packing')).toMatchObject({
      code: 'INTERNAL',
      message: 'packing: oops',
    })
  })
})
