import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    coverage: {
      provider: 'v8',
      include: ['src/router/**', 'src/policies/**'],
      exclude: ['**/*.test.ts', '**/*.suite.ts', '**/*.fixture.ts', '**/testkit.ts'],
      thresholds: { branches: 95 },
      reporter: ['text-summary', 'json-summary'],
    },
    projects: [
      {
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts', 'test/*.test.ts', 'scripts/**/*.test.ts'],
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/*.e2e.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          // The suites start whole fleets; two at a time would only wait for each other on a small machine.
          fileParallelism: false,
        },
      },
    ],
  },
});
