/** How grave a log line is, with pino's numbers. */
export const LOG_LEVELS = { debug: 20, info: 30, warn: 40, error: 50 } as const

export type LogLevel = keyof typeof LOG_LEVELS

export const LOG_LEVEL_NAMES = Object.keys(LOG_LEVELS) as [LogLevel, ...LogLevel[]]

/** The gravest level that this number reaches; whatever is below them all counts as `debug`. */
export const levelName = (number: number): LogLevel =>
  LOG_LEVEL_NAMES.findLast((name) => LOG_LEVELS[name] <= number) ?? 'debug'
