import { defineConfig } from 'vitest/config'

/** Where the gate wants the run's JSON report; people see the default reporter alone. */
const report = process.env['RATCHET_TEST_REPORT']

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 2,
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
  },
})
