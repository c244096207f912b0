import { parentPort } from 'node:worker_threads';
import { measure, type Job } from './measure.ts';
import type { Answer } from './threads.ts';

parentPort?.on('message', (jobs: readonly Job[]) => {
  parentPort?.postMessage(jobs.map(measure) satisfies Answer);
});
