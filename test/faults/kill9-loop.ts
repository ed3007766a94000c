import fs from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isEnded } from '../../src/engine/job.ts'
import type { Random } from '../helpers/random.ts'
import { Stepper } from './kill9-child.ts'
import { storeIn, type Place } from './kill9-world.ts'
import type { StepReply } from './processes/protocol.ts'

/** When a process dies. Milliseconds. */
export interface KillPlan {
  readonly sliceMs: number
  /** `mixed`: uniform over two slices, or right after the n-th change in the job's folder. `half`: half a slice into its first step, always. `mean`: exponential with a mean of one slice. */
  readonly when: 'mixed' | 'half' | 'mean'
  readonly threads: number
}

export interface KillReport {
  kills: number
  /** Time in which a process was free to work. Milliseconds. */
  workedMs: number
  /** Replies whose process was killed before it could give them, given again by the next one. */
  repeated: number
  last: StepReply
}

/**
 * Kills after which processes live longer, the more of them have died: where a machine is so busy that a slice is not
 * enough to begin, the job ends all the same.
 */
const UNHURRIED = 40

/** One job from its creation to its end: processes die as planned, a fresh one takes each next step. */
export async function killLoop(place: Place, plan: KillPlan, random: Random, most = 5000): Promise<KillReport> {
  const loop = new KillLoop(place, plan, random)
  try {
    while (!(await loop.life())) {
      if (loop.kills > most) throw new Error(`the job has not ended after ${loop.kills} kills`)
    }
    return await loop.report()
  } finally {
    await loop.close()
  }
}

class KillLoop {
  kills = 0
  #workedMs = 0
  #repeated = 0
  #seen = 0
  #last: StepReply | null = null
  readonly #place: Place
  readonly #plan: KillPlan
  readonly #random: Random
  /** The next process starts while the present one works: it is ready when that dies. */
  #next: Stepper | null = null

  constructor(place: Place, plan: KillPlan, random: Random) {
    this.#place = place
    this.#plan = plan
    this.#random = random
  }

  /** One process from its start to its death; true when the job is over. */
  async life(): Promise<boolean> {
    const child = await this.#ready()
    // Where time is compared, nothing else may use it.
    if (this.#plan.when !== 'mean') this.#next = this.#spawn()
    const death = this.#death(child)
    const from = performance.now()
    child.go(this.#seen)
    await Promise.race([death(), child.ended])
    const killed = !child.over
    await child.kill()
    this.#workedMs += performance.now() - from
    if (killed) this.kills++
    this.#take(child)
    return this.#last !== null && this.#last.status !== 'running'
  }

  /** The end once more, from a process that has seen nothing of it. */
  async report(): Promise<KillReport> {
    const child = await this.#ready()
    child.go(this.#seen - 1)
    await child.finished()
    const [again] = child.replies
    const { epoch: _, ...told } = this.#last ?? { epoch: 0 }
    const { epoch: __, ...answer } = again ?? { epoch: 0 }
    if (JSON.stringify(told) !== JSON.stringify(answer)) {
      throw new Error(`the last reply was ${JSON.stringify(told)}, asked again it is ${JSON.stringify(answer)}`)
    }
    if (this.#last === null) throw new Error('nothing was replied')
    return { kills: this.kills, workedMs: this.#workedMs, repeated: this.#repeated, last: this.#last }
  }

  async close(): Promise<void> {
    await this.#next?.kill()
  }

  async #ready(): Promise<Stepper> {
    const child = this.#next ?? this.#spawn()
    this.#next = null
    if ((await child.heard('ready')) === null) await child.finished()
    return child
  }

  #spawn(): Stepper {
    return new Stepper({ dataDir: this.#place.dataDir, number: 1, expect: true, threads: this.#plan.threads })
  }

  /** To be called before the process begins: some plans watch what it does. */
  #death(child: Stepper): () => Promise<unknown> {
    const { when } = this.#plan
    if (when === 'half') return () => child.heard('begin').then(() => sleep(this.#plan.sliceMs / 2))
    const sliceMs = this.#plan.sliceMs * Math.max(1, this.kills / UNHURRIED)
    if (when === 'mean') return () => sleep(-sliceMs * Math.log(1 - this.#random.next()))
    if (this.#random.chance(0.5)) return () => sleep(this.#random.next() * 2 * sliceMs)
    const changes = this.#changes(1 + this.#random.int(12), 3 * sliceMs)
    const wait = this.#random.chance(0.5) ? 0 : this.#random.next() * 3
    return () => changes.then(() => sleep(wait))
  }

  /** Resolves at the n-th change of a record or of the log, and in any case after a while. */
  #changes(n: number, atMost: number): Promise<void> {
    return new Promise((resolve) => {
      let left = n
      const done = (): void => {
        clearTimeout(late)
        watcher.close()
        resolve()
      }
      const watcher = fs.watch(path.join(this.#place.dataDir, 'jobs', '1'), (_, name) => {
        if (name !== null && !name.endsWith('.tmp') && --left <= 0) done()
      })
      const late = setTimeout(done, atMost)
    })
  }

  /** Every reply is the one awaited, and the record agrees with what was told. */
  #take(child: Stepper): void {
    for (const line of child.lines) {
      if (line.event === 'error') throw new Error(`after step ${this.#seen}: ${line.code}: ${line.text}`)
      if (line.event !== 'reply') continue
      const { reply } = line
      if (reply.steps !== this.#seen + 1) throw new Error(`step ${this.#seen + 1} was awaited, ${reply.steps} came`)
      if (this.#last !== null && reply.percent < this.#last.percent) throw new Error('the percentage has fallen')
      if ((reply.percent === 100) !== (reply.status === 'completed'))
        throw new Error(`${reply.percent} % when ${reply.status}`)
      this.#seen = reply.steps
      this.#last = reply
    }
    const job = storeIn(this.#place.dataDir).read(1)
    if (job.steps < this.#seen) throw new Error(`step ${this.#seen} was answered, the record knows ${job.steps}`)
    if (job.steps > this.#seen + 1)
      throw new Error(`step ${this.#seen} was the last one answered, the record says ${job.steps}`)
    if (job.steps === this.#seen + 1) this.#repeated++
    if (isEnded(job) && job.status !== 'completed')
      throw new Error(`the job is ${job.status}: ${JSON.stringify(job.error)}`)
  }
}
