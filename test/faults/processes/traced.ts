import type { Stage, StageName } from '../../../src/engine/stage.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import type { Line } from './protocol.ts'

/** The same stages, which say when work in them begins and ends. */
export function traced(
  stages: Readonly<Record<StageName, Stage>>,
  say: (line: Line) => void,
): Readonly<Record<StageName, Stage>> {
  const wrap = (stage: Stage): Stage => ({
    name: stage.name,
    domain: stage.domain,
    weight: (spec) => stage.weight(spec),
    async *run(ctx) {
      say({ event: 'enter', at: systemClock.mono() })
      try {
        return yield* stage.run(ctx)
      } finally {
        say({ event: 'leave', at: systemClock.mono() })
      }
    },
  })
  const all = Object.entries(stages).map(([name, stage]) => [name, wrap(stage)] as const)
  return Object.fromEntries(all) as Record<StageName, Stage>
}
