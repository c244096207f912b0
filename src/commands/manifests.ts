import type { FileFault } from '../api/documents.ts';
import { ManifestState } from '../controller/manifest-state.ts';
import { ManifestWatch } from '../controller/manifest-watch.ts';
import { errorText, type Log } from '../observability/log.ts';
import type { Clock } from '../router/clock.ts';
import type { Assembly } from './assembly.ts';

/** How often the manifests were taken in. */
export interface Reloads {
  good: number;
  /** With at least one fault; what was good is in force all the same. */
  faulty: number;
}

/** Keeps an assembly at what a folder of manifests says. */
export function followManifests(
  folder: string,
  routerClass: string,
  assembly: Assembly,
  { clock, log }: { clock: Clock; log: Log },
): { watch: ManifestWatch; reloads: Reloads } {
  const state = new ManifestState(routerClass);
  const reloads: Reloads = { good: 0, faulty: 0 };
  const watch = new ManifestWatch(folder, clock, {
    changed(files) {
      const snapshot = state.update(files);
      for (const fault of snapshot.faults) logFault(log, fault);
      for (const key of snapshot.lastGoodInForce) log.warn('the last good version stays in force', { object: key });
      reloads[snapshot.faults.length === 0 ? 'good' : 'faulty'] += 1;
      assembly.update(snapshot);
      const { policies, groups } = assembly.store.current;
      log.info('manifests in force', {
        policies: policies.length,
        groups: groups.size,
        faults: snapshot.faults.length,
      });
    },
    failed(error) {
      log.error('the manifests cannot be read; what was in force stays', { folder, error: errorText(error) });
    },
  });
  watch.start();
  return { watch, reloads };
}

function logFault(log: Log, { file, line, path, message, cure }: FileFault): void {
  log.warn('manifest at fault', { file, line, path, message, cure });
}
