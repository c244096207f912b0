import { defineConfig } from 'vitest/config';

/** Apart from the other tests: it needs 6 GB of disk, as much memory, and some minutes. */
export default defineConfig({
  test: {
    name: 'vllm',
    include: ['test/e2e/vllm/*.e2e.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    fileParallelism: false,
  },
});
