import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readFully, writeFully, type Disk } from '../../src/lib/disk.ts'
import { errnoOf } from '../../src/lib/errors.ts'
import { contentOf, putFile } from '../helpers/disk-tree.ts'

/** What a `Disk` under test offers: an empty folder, and a way to put special files there. */
export interface DiskUnderTest {
  readonly disk: Disk
  readonly folder: string
  mkfifo(path: string): void
  dispose(): void
}

/** The code a call fails with, or 'done'. */
export function codeOf(work: () => unknown): string {
  try {
    work()
    return 'done'
  } catch (error) {
    return errnoOf(error) ?? `not a system error: ${String(error)}`
  }
}

/** What every `Disk` must do, real or not: one suite for both, so that the model is honest. */
export function diskSuite(name: string, make: () => DiskUnderTest): void {
  let under: DiskUnderTest
  let disk: Disk
  const at = (path: string): string => `${under.folder}/${path}`
  const put = (path: string, content = path): string => {
    putFile(disk, at(path), content)
    return at(path)
  }
  const list = (path = ''): string[] =>
    disk
      .readdir(at(path))
      .map((n) => n.toString())
      .sort()

  describe(`disk: ${name}`, () => {
    beforeEach(() => {
      under = make()
      disk = under.disk
    })
    afterEach(() => under.dispose())

    describe('opening', () => {
      it('creates exclusively, empty, for reading and writing, mode 0600', () => {
        const fd = disk.open(at('a'), 'create')
        expect(disk.write(fd, Buffer.from('hello'), 1, 3, 0)).toBe(3)
        const into = Buffer.alloc(5, '.')
        expect(disk.read(fd, into, 1, 4, 0)).toBe(3)
        expect(into.toString()).toBe('.ell.')
        expect(disk.fstat(fd).mode).toBe(0o100600)
        disk.close(fd)
        expect(codeOf(() => disk.open(at('a'), 'create'))).toBe('EEXIST')
      })
      it('appends at the end as it is, whatever the position', () => {
        put('a', 'one ')
        const fds = [1, 2].map(() => disk.open(at('a'), 'append'))
        for (const [i, fd] of fds.entries())
          disk.write(fd, Buffer.from(i === 0 ? 'two ' : 'three'), 0, i === 0 ? 4 : 5, 0)
        for (const fd of fds) disk.close(fd)
        expect(contentOf(disk, at('a')).toString()).toBe('one two three')
        expect(codeOf(() => disk.open(at('none'), 'append'))).toBe('ENOENT')
      })
      it('says what is wrong with a path', () => {
        put('file')
        disk.mkdir(at('dir'), 0o700)
        disk.symlink(Buffer.from('file'), at('link'))
        disk.symlink(Buffer.from('nowhere'), at('dangling'))
        disk.symlink(Buffer.from('loop'), at('loop'))
        disk.symlink(Buffer.from('dir'), at('dirlink'))
        under.mkfifo(at('fifo'))
        const table = [
          'file',
          'dir',
          'link',
          'dangling',
          'loop',
          'dirlink',
          'none',
          'none/x',
          'file/x',
          'loop/x',
          'file/',
        ]
        const codes = (mode: 'read' | 'dir' | 'update' | 'create'): string[] =>
          table.map((path) =>
            codeOf(() => {
              disk.close(disk.open(at(path), mode))
              if (mode === 'create') disk.unlink(at(path))
            }),
          )
        // prettier-ignore
        expect(codes('read')).toEqual(['done', 'done', 'ELOOP', 'ELOOP', 'ELOOP', 'ELOOP', 'ENOENT', 'ENOENT', 'ENOTDIR', 'ELOOP', 'ENOTDIR'])
        // prettier-ignore
        expect(codes('update')).toEqual(['done', 'EISDIR', 'ELOOP', 'ELOOP', 'ELOOP', 'ELOOP', 'ENOENT', 'ENOENT', 'ENOTDIR', 'ELOOP', 'ENOTDIR'])
        // prettier-ignore
        expect(codes('dir')).toEqual(['ENOTDIR', 'done', 'ENOTDIR', 'ENOTDIR', 'ENOTDIR', 'ENOTDIR', 'ENOENT', 'ENOENT', 'ENOTDIR', 'ELOOP', 'ENOTDIR'])
        // prettier-ignore
        expect(codes('create').slice(0, 10)).toEqual(['EEXIST', 'EEXIST', 'EEXIST', 'EEXIST', 'EEXIST', 'EEXIST', 'done', 'ENOENT', 'ENOTDIR', 'ELOOP'])
      })
      it('opens a FIFO without waiting and tells what it is', () => {
        under.mkfifo(at('fifo'))
        const fd = disk.open(at('fifo'), 'read')
        expect(disk.fstat(fd).kind).toBe('fifo')
        expect(codeOf(() => disk.read(fd, Buffer.alloc(1), 0, 1, 0))).toBe('ESPIPE')
        disk.close(fd)
      })
      it('keeps an open file alive after unlink and rename over it', () => {
        const fd = disk.open(put('a', 'alive'), 'update')
        disk.unlink(at('a'))
        expect(disk.fstat(fd)).toMatchObject({ nlink: 0, size: 5 })
        writeFully(disk, fd, Buffer.from('!'), 5)
        const into = Buffer.alloc(6)
        readFully(disk, fd, into, 6, 0)
        expect(into.toString()).toBe('alive!')
        put('a', 'another')
        expect(contentOf(disk, at('a')).toString()).toBe('another')
        disk.close(fd)
      })
      it('refuses descriptors that are closed or of the wrong kind', () => {
        const reader = disk.open(put('a'), 'read')
        expect(codeOf(() => disk.write(reader, Buffer.from('x'), 0, 1, 0))).toBe('EBADF')
        expect(codeOf(() => disk.truncate(reader, 0))).toBe('EINVAL')
        disk.close(reader)
        expect(codeOf(() => disk.close(reader))).toBe('EBADF')
        expect(codeOf(() => disk.read(reader, Buffer.alloc(1), 0, 1, 0))).toBe('EBADF')
        expect(codeOf(() => disk.fstat(reader))).toBe('EBADF')
        expect(codeOf(() => disk.datasync(reader))).toBe('EBADF')
        const folder = disk.open(under.folder, 'dir')
        expect(codeOf(() => disk.read(folder, Buffer.alloc(1), 0, 1, 0))).toBe('EISDIR')
        expect(codeOf(() => disk.write(folder, Buffer.alloc(1), 0, 1, 0))).toBe('EBADF')
        disk.close(folder)
      })
    })

    describe('content', () => {
      it('reads up to the end and nothing beyond', () => {
        const fd = disk.open(put('a', '0123456789'), 'read')
        const into = Buffer.alloc(20, '.')
        expect(disk.read(fd, into, 0, 20, 4)).toBe(6)
        expect(disk.read(fd, into, 0, 20, 10)).toBe(0)
        expect(disk.read(fd, into, 0, 20, 1000)).toBe(0)
        expect(disk.read(fd, into, 0, 0, 0)).toBe(0)
        disk.close(fd)
      })
      it('fills gaps and longer sizes with zeros', () => {
        const fd = disk.open(put('a', 'abc'), 'update')
        disk.write(fd, Buffer.from('z'), 0, 1, 5)
        expect(contentOf(disk, at('a')).toString('latin1')).toBe('abc\0\0z')
        disk.truncate(fd, 2)
        disk.truncate(fd, 4)
        expect(contentOf(disk, at('a')).toString('latin1')).toBe('ab\0\0')
        disk.write(fd, Buffer.from('YY'), 0, 2, 1)
        expect(contentOf(disk, at('a')).toString('latin1')).toBe('aYY\0')
        disk.close(fd)
      })
      it('writes later', async () => {
        const fd = disk.open(put('a', 'abcdef'), 'update')
        const writes = [
          disk.writeAsync(fd, Buffer.from('.XY.'), 1, 2, 1),
          disk.writeAsync(fd, Buffer.from('Z'), 0, 1, 7),
        ]
        expect(await Promise.all(writes)).toEqual([2, 1])
        disk.close(fd)
        expect(contentOf(disk, at('a')).toString('latin1')).toBe('aXYdef\0Z')
        await expect(disk.writeAsync(fd, Buffer.from('a'), 0, 1, 0)).rejects.toMatchObject({ code: 'EBADF' })
      })
      it('syncs files and folders, now and later', async () => {
        const fd = disk.open(put('a'), 'update')
        const folder = disk.open(under.folder, 'dir')
        disk.datasync(fd)
        disk.fsync(fd)
        disk.fsync(folder)
        await Promise.all([disk.datasyncAsync(fd), disk.fsyncAsync(fd), disk.fsyncAsync(folder)])
        disk.close(fd)
        disk.close(folder)
        await expect(disk.datasyncAsync(fd)).rejects.toMatchObject({ code: 'EBADF' })
        await expect(disk.fsyncAsync(fd)).rejects.toMatchObject({ code: 'EBADF' })
      })
    })

    describe('names', () => {
      it('makes and removes folders', () => {
        disk.mkdir(at('d'), 0o700)
        expect(disk.stat(at('d')).mode).toBe(0o40700)
        expect(codeOf(() => disk.mkdir(at('d'), 0o700))).toBe('EEXIST')
        expect(codeOf(() => disk.mkdir(at('none/d'), 0o700))).toBe('ENOENT')
        put('d/x')
        expect(codeOf(() => disk.rmdir(at('d')))).toBe('ENOTEMPTY')
        expect(codeOf(() => disk.rmdir(at('d/x')))).toBe('ENOTDIR')
        expect(codeOf(() => disk.mkdir(at('d/x/y'), 0o700))).toBe('ENOTDIR')
        expect(codeOf(() => disk.unlink(at('d')))).toBe('EISDIR')
        disk.unlink(at('d/x'))
        disk.rmdir(at('d'))
        expect(codeOf(() => disk.rmdir(at('d')))).toBe('ENOENT')
        expect(codeOf(() => disk.unlink(at('d')))).toBe('ENOENT')
      })
      it('creates nothing in a folder that was removed', () => {
        disk.mkdir(at('d'), 0o700)
        const fd = disk.open(at('d'), 'dir')
        const below = `/proc/self/fd/${fd}/x`
        put('d/x', 'by handle')
        expect(contentOf(disk, below).toString()).toBe('by handle')
        disk.rename(at('d'), at('e'))
        expect(contentOf(disk, below).toString()).toBe('by handle')
        disk.unlink(below)
        disk.rmdir(at('e'))
        expect(codeOf(() => disk.open(below, 'create'))).toBe('ENOENT')
        expect(codeOf(() => disk.mkdir(below, 0o700))).toBe('ENOENT')
        expect(disk.fstat(fd).nlink).toBe(0)
        disk.close(fd)
        expect(codeOf(() => disk.lstat(below))).toBe('ENOENT')
      })
      it('links exclusively', () => {
        const a = put('a', 'one')
        disk.link(a, at('b'))
        expect(disk.stat(a)).toMatchObject({ nlink: 2, ino: disk.stat(at('b')).ino })
        expect(codeOf(() => disk.link(a, at('b')))).toBe('EEXIST')
        expect(codeOf(() => disk.link(at('none'), at('c')))).toBe('ENOENT')
        expect(codeOf(() => disk.link(a, at('none/c')))).toBe('ENOENT')
        expect(codeOf(() => disk.link(under.folder, at('c')))).toBe('EPERM')
        disk.symlink(Buffer.from('a'), at('l'))
        disk.link(at('l'), at('l2'))
        expect(disk.lstat(at('l2')).kind).toBe('symlink')
        disk.unlink(a)
        expect(disk.stat(at('b')).nlink).toBe(1)
        expect(contentOf(disk, at('b')).toString()).toBe('one')
      })
      it('renames over what is there, whole or not at all', () => {
        put('a', 'new')
        put('b', 'old')
        disk.rename(at('a'), at('b'))
        expect(list()).toEqual(['b'])
        expect(contentOf(disk, at('b')).toString()).toBe('new')
        disk.link(at('b'), at('c'))
        disk.rename(at('b'), at('c')) // the same file: nothing happens
        expect(list()).toEqual(['b', 'c'])
        disk.rename(at('b'), at('b'))
        expect(codeOf(() => disk.rename(at('none'), at('b')))).toBe('ENOENT')
        expect(codeOf(() => disk.rename(at('b'), at('none/b')))).toBe('ENOENT')
        expect(codeOf(() => disk.rename(at('b'), at('c/b')))).toBe('ENOTDIR')
      })
      it('renames folders', () => {
        put('file')
        for (const d of ['d', 'd/sub', 'empty', 'full']) disk.mkdir(at(d), 0o700)
        put('full/x')
        expect(codeOf(() => disk.rename(at('d'), at('d/sub/d')))).toBe('EINVAL')
        expect(codeOf(() => disk.rename(at('d'), at('full')))).toBe('ENOTEMPTY')
        expect(codeOf(() => disk.rename(at('d'), at('file')))).toBe('ENOTDIR')
        expect(codeOf(() => disk.rename(at('file'), at('d')))).toBe('EISDIR')
        disk.rename(at('d'), at('empty'))
        expect(list('empty')).toEqual(['sub'])
        disk.rename(at('full'), at('empty/sub/full'))
        expect(list()).toEqual(['empty', 'file'])
        expect(list('empty/sub/full/../..')).toEqual(['sub'])
        expect(contentOf(disk, at('empty/sub/full/x')).toString()).toBe('full/x')
      })
      it('keeps names as bytes', () => {
        const name = Buffer.from([0xff, 0x80, 0x41, 0x5c])
        const path = Buffer.concat([Buffer.from(`${under.folder}/`), name])
        putFile(disk, path, 'raw')
        put('ü€', 'text')
        const names = disk.readdir(under.folder)
        expect(names.some((n) => n.equals(name))).toBe(true)
        expect(names.some((n) => n.toString() === 'ü€')).toBe(true)
        expect(contentOf(disk, path).toString()).toBe('raw')
        disk.rename(path, at('plain'))
        expect(list()).toEqual(['plain', 'ü€'])
      })
      it('refuses names that are too long, and NUL bytes', () => {
        expect(codeOf(() => disk.open(at('x'.repeat(256)), 'create'))).toBe('ENAMETOOLONG')
        expect(codeOf(() => disk.lstat(at('x'.repeat(255))))).toBe('ENOENT')
        expect(codeOf(() => disk.lstat(at('y/'.repeat(2100))))).toBe('ENAMETOOLONG')
        expect(codeOf(() => disk.lstat(at('a\0b')))).toBe('ERR_INVALID_ARG_VALUE')
        expect(codeOf(() => disk.lstat(''))).toBe('ENOENT')
      })
    })

    describe('links', () => {
      it('follows them in the middle, and at the end only where asked', () => {
        disk.mkdir(at('d'), 0o700)
        put('d/x', 'found')
        disk.symlink(Buffer.from('d'), at('rel'))
        disk.symlink(Buffer.from(`${under.folder}/d`), at('abs'))
        disk.symlink(Buffer.from('../d/x'), at('d/up'))
        expect(contentOf(disk, at('rel/x')).toString()).toBe('found')
        expect(contentOf(disk, at('abs/../abs/x')).toString()).toBe('found')
        expect(disk.stat(at('d/up')).size).toBe(5)
        expect(disk.lstat(at('d/up'))).toMatchObject({ kind: 'symlink', size: 6 })
        expect(disk.lstat(at('rel/')).kind).toBe('dir')
        disk.close(disk.open(at('rel/.'), 'dir'))
        expect(disk.readlink(at('rel')).toString()).toBe('d')
        expect(disk.realpath(at('rel/up')).toString().endsWith('/d/x')).toBe(true)
        expect(disk.realpath(at('abs')).equals(disk.realpath(at('d')))).toBe(true)
      })
      it('says what is wrong with them', () => {
        put('file')
        disk.symlink(Buffer.from('nowhere'), at('dangling'))
        disk.symlink(Buffer.from('loop'), at('loop'))
        expect(codeOf(() => disk.stat(at('dangling')))).toBe('ENOENT')
        expect(codeOf(() => disk.realpath(at('dangling')))).toBe('ENOENT')
        expect(codeOf(() => disk.stat(at('loop')))).toBe('ELOOP')
        expect(codeOf(() => disk.lstat(at('loop')))).toBe('done')
        expect(codeOf(() => disk.readlink(at('file')))).toBe('EINVAL')
        expect(codeOf(() => disk.symlink(Buffer.from('x'), at('file')))).toBe('EEXIST')
        expect(codeOf(() => disk.mkdir(at('dangling'), 0o700))).toBe('EEXIST')
        disk.unlink(at('dangling'))
        expect(list()).toEqual(['file', 'loop'])
      })
    })

    describe('metadata', () => {
      it('changes mode, owner and times by handle', () => {
        const fd = disk.open(put('a'), 'update')
        disk.fchmod(fd, 0o4751)
        disk.futimes(fd, 1, 1_700_000_000.123456)
        const stat = disk.fstat(fd)
        expect(stat.mode).toBe(0o104751)
        expect(stat.mtimeNs / 1000n).toBe(1_700_000_000_123_456n)
        disk.fchown(fd, stat.uid, stat.gid)
        disk.close(fd)
      })
      it('changes a link itself, not what it points to', () => {
        put('a')
        disk.symlink(Buffer.from('a'), at('l'))
        disk.lutimes(at('l'), 5, 5)
        const { uid, gid } = disk.lstat(at('l'))
        disk.lchown(at('l'), uid, gid)
        expect(disk.lstat(at('l')).mtimeNs).toBe(5_000_000_000n)
        expect(disk.stat(at('a')).mtimeNs).toBeGreaterThan(5_000_000_000n)
      })
      it('moves ctime when content, mode or times change, whatever mtime is set to', async () => {
        const fd = disk.open(put('a'), 'update')
        let last = disk.fstat(fd)
        const changes = [
          () => disk.write(fd, Buffer.from('x'), 0, 1, 0),
          () => disk.fchmod(fd, 0o600),
          () => disk.futimes(fd, 7, 7),
          () => disk.truncate(fd, 1),
        ]
        for (const change of changes) {
          await new Promise((resolve) => setTimeout(resolve, 12)) // longer than the kernel's tick
          change()
          const now = disk.fstat(fd)
          expect(now.ctimeNs).toBeGreaterThan(last.ctimeNs)
          last = now
        }
        disk.close(fd)
      })
      it('tells kind, size and identity alike by path and by handle', () => {
        const fd = disk.open(put('a', 'abc'), 'read')
        expect(disk.lstat(at('a'))).toEqual(disk.fstat(fd))
        expect(disk.stat(at('a'))).toMatchObject({ kind: 'file', size: 3, nlink: 1 })
        expect(disk.stat(at('a')).dev).toBe(disk.stat(under.folder).dev)
        disk.close(fd)
      })
      it('lists folders and knows the free space', () => {
        disk.mkdir(at('d'), 0o700)
        put('f')
        under.mkfifo(at('p'))
        disk.symlink(Buffer.from('f'), at('l'))
        const reader = disk.opendir(under.folder)
        const seen = new Map<string, string | null>()
        for (let item = reader.next(); item !== null; item = reader.next()) seen.set(item.name.toString(), item.kind)
        reader.close()
        expect(Object.fromEntries(seen)).toEqual({ d: 'dir', f: 'file', p: 'fifo', l: 'symlink' })
        expect(list()).toEqual(['d', 'f', 'l', 'p'])
        expect(codeOf(() => disk.readdir(at('f')))).toBe('ENOTDIR')
        expect(codeOf(() => disk.opendir(at('none')))).toBe('ENOENT')
        expect(disk.free(under.folder)).toBeGreaterThan(0)
        expect(codeOf(() => disk.free(at('none')))).toBe('ENOENT')
        expect(disk.writable(under.folder)).toBe(true)
        expect(codeOf(() => disk.writable(at('none')))).toBe('ENOENT')
      })
      it('throws errors of the same shape', () => {
        const shapes: object[] = []
        for (const work of [
          () => disk.lstat(at('none')),
          () => disk.rename(at('none'), at('b')),
          () => disk.close(999),
        ]) {
          try {
            work()
          } catch (error) {
            if (error instanceof Error) shapes.push({ ...error, message: error.message })
          }
        }
        expect(shapes).toEqual([
          expect.objectContaining({ code: 'ENOENT', errno: -2, syscall: 'lstat', path: at('none') }),
          expect.objectContaining({ code: 'ENOENT', syscall: 'rename', path: at('none'), dest: at('b') }),
          expect.objectContaining({ code: 'EBADF', syscall: 'close', message: 'EBADF: bad file descriptor, close' }),
        ])
      })
    })
  })
}
