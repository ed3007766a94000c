import fs from 'node:fs'

/** One field of `/proc/<pid>/status` in bytes; 0 once the process has gone. */
function memoryOf(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readProc(`${pid}/status`))
  return match === null ? 0 : Number(match[1]) * 1024
}

function readProc(name: string): string {
  try {
    return fs.readFileSync(`/proc/${name}`, 'latin1')
  } catch (error) {
    // Processes end while one looks at them.
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')) return ''
    throw error
  }
}

/** User and system time of a process so far. Seconds; clock ticks are hundredths on Linux. */
export function cpuOf(pid: number): number {
  const stat = readProc(`${pid}/stat`)
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** The same of a server and all its children, those that have ended included. */
export function cpuOfAll(root: number): number {
  const stat = readProc(`${root}/stat`)
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const ended = (Number(fields[13]) + Number(fields[14])) / 100
  return treeOf(root).reduce((sum, pid) => sum + (cpuOf(pid) || 0), ended)
}

/**
 * The process and all its descendants. Left out is a child that has not become a program of its own yet: between fork
 * and exec it has its parent's command line, and its parent's memory, which would count twice.
 */
function treeOf(root: number): number[] {
  const children = new Map<number, number[]>()
  for (const name of fs.readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    // The command in parentheses may hold anything, so fields are counted from its end.
    const stat = readProc(`${name}/stat`)
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
    children.set(parent, [...(children.get(parent) ?? []), Number(name)])
  }
  const found = [root]
  for (const pid of found) {
    const own = readProc(`${pid}/cmdline`)
    for (const child of children.get(pid) ?? []) if (readProc(`${child}/cmdline`) !== own) found.push(child) // grows while it is walked
  }
  return found
}

/**
 * Peak resident memory of a process and its descendants, by looking every 50 ms. For a single
 * process the kernel's own high-water mark is taken, which misses nothing but the last moment.
 */
export class MemoryWatch implements Disposable {
  /** Bytes. */
  peak = 0
  readonly #root: number
  readonly #timer: NodeJS.Timeout

  constructor(root: number) {
    this.#root = root
    this.#timer = setInterval(() => this.look(), 50)
  }

  look(): void {
    let now = 0
    for (const pid of treeOf(this.#root)) {
      now += memoryOf(pid, 'VmRSS')
      this.peak = Math.max(this.peak, memoryOf(pid, 'VmHWM'))
    }
    this.peak = Math.max(this.peak, now)
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }
}
