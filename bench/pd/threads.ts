import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { Job, Result } from './measure.ts';

/** What a worker answers: the results of a parcel's jobs, in their order. */
export type Answer = readonly Result[];

/** Measures all jobs, on as many cores as there are; results in the order of the jobs. */
export async function measureAll(jobs: readonly Job[]): Promise<Result[]> {
  const results = new Array<Result>(jobs.length);
  const parcels = parcelsOf(jobs);
  let next = 0;
  const work = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const worker = new Worker(new URL('worker.ts', import.meta.url));
      let places: readonly number[] = [];
      const give = (): void => {
        if (next === parcels.length) {
          resolve(worker.terminate().then(() => undefined));
          return;
        }
        places = parcels[next++];
        worker.postMessage(places.map((place) => jobs[place]));
      };
      worker.on('message', (answer: Answer) => {
        places.forEach((place, i) => {
          results[place] = answer[i];
        });
        give();
      });
      worker.on('error', reject);
      give();
    });
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  return results;
}

/** Places of jobs that share their requests, which are then made once. */
function parcelsOf(jobs: readonly Job[]): readonly (readonly number[])[] {
  const parcels = new Map<string, number[]>();
  jobs.forEach(({ scenario, seed }, place) => {
    const key = `${scenario} ${seed}`;
    const parcel = parcels.get(key);
    if (parcel === undefined) parcels.set(key, [place]);
    else parcel.push(place);
  });
  return [...parcels.values()];
}
