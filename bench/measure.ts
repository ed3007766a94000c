import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { MemoryWatch } from './process-tree.ts'
import { median } from './stats.ts'

export interface Measured {
  /** Seconds. */
  readonly wall: number
  /** User and system time of the process and of all children it waited for. Seconds. */
  readonly cpu: number
  /** Peak resident memory of the process tree. Bytes. */
  readonly rss: number
  readonly stdout: string
}

export interface Command {
  readonly argv: readonly string[]
  readonly cwd?: string
}

/**
 * Runs a whole process and measures it. Times come from the shell's own `time`, which asks the
 * kernel for the resources of the child and everything it reaped. Any other exit code than 0 throws.
 */
export async function measure(command: Command): Promise<Measured> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ratchet-measure-'))
  const times = path.join(folder, 'times')
  try {
    const script = 'TIMEFORMAT="%3R %3U %3S"; { time "$@" 2>&3; } 3>&2 2>"$0"'
    const child = spawn('bash', ['-c', script, times, ...command.argv], {
      stdio: ['ignore', 'pipe', 'inherit'],
      ...(command.cwd === undefined ? {} : { cwd: command.cwd }),
    })
    if (child.pid === undefined) throw new Error('bash could not be started')
    using memory = new MemoryWatch(child.pid)
    const chunks: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
    const [code] = (await once(child, 'close')) as [number | null]
    const stdout = Buffer.concat(chunks).toString('utf8')
    if (code !== 0) throw new Error(`exit code ${code}: ${command.argv.join(' ')}\n${stdout.slice(-2000)}`)
    const [wall = 0, user = 0, system = 0] = fs.readFileSync(times, 'utf8').trim().split(' ').map(Number)
    return { wall, cpu: user + system, rss: memory.peak, stdout }
  } finally {
    fs.rmSync(folder, { recursive: true, force: true })
  }
}

/** One contender. `prepare` runs before each run and `check` after it, both outside the time. */
export interface Side {
  readonly name: string
  /** Or what gives the command of the next run. */
  readonly command: Command | (() => Command)
  prepare?(): void | Promise<void>
  check?(measured: Measured): void | Promise<void>
}

export interface Series {
  readonly name: string
  readonly wall: number[]
  readonly cpu: number[]
  readonly rss: number[]
}

/**
 * A B C A B C …, so that whatever the machine does meanwhile hits all sides. The first round warms
 * the page cache and is not counted. Data written by one run is on disk before the next begins.
 */
export async function interleave(sides: readonly Side[], rounds: number): Promise<Series[]> {
  const series = sides.map(({ name }): Series => ({ name, wall: [], cpu: [], rss: [] }))
  for (let round = 0; round <= rounds; round++) {
    for (const [i, side] of sides.entries()) {
      await side.prepare?.()
      spawnSync('sync')
      const measured = await measure(typeof side.command === 'function' ? side.command() : side.command)
      await side.check?.(measured)
      const label = round === 0 ? 'warm-up' : `run ${round}`
      const { wall, cpu, rss } = measured
      const facts = `${wall.toFixed(2)} s, cpu ${cpu.toFixed(2)} s, rss ${(rss / 1e6).toFixed(0)} MB`
      console.error(`  ${side.name}, ${label}: ${facts}`)
      if (round === 0) continue
      series[i]?.wall.push(wall)
      series[i]?.cpu.push(cpu)
      series[i]?.rss.push(rss)
    }
  }
  return series
}

/** How much longer `a` takes than `b`, by medians. */
export function ratio(a: Series | undefined, b: Series | undefined): number {
  return median(a?.wall ?? []) / median(b?.wall ?? [])
}
