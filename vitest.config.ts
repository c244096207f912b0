import { availableParallelism } from 'node:os';
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
          testTimeout: 60_000,
          // Left alone it would use one of two cores.
          maxWorkers: Math.max(3, availableParallelism()),
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/*.e2e.test.ts', 'test/epp-protocol/*.e2e.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          // The suites start whole fleets; two at a time would only wait for each other on a small machine.
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'e2e-slow',
          include: ['test/e2e/*.slow.test.ts', 'test/epp-protocol/*.slow.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'cluster',
          include: ['test/e2e/cluster/*.cluster.test.ts'],
          globalSetup: ['test/e2e/cluster/kit/global-setup.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          // One API server for all suites, which some of them take away.
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'box',
          include: ['test/e2e/box/*.box.test.ts'],
          globalSetup: ['test/e2e/box/kit/global-setup.ts'],
          testTimeout: 180_000,
          hookTimeout: 180_000,
          // A node of two cores has room for one suite.
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'cluster-slow',
          include: ['test/e2e/cluster/*.slow.test.ts'],
          globalSetup: ['test/e2e/cluster/kit/global-setup.ts'],
          testTimeout: 300_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
