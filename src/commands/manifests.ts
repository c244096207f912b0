import type { FileFault } from '../api/documents.ts';
import { StaticDiscovery } from '../controller/found.ts';
import { ManifestState } from '../controller/manifest-state.ts';
import { ManifestWatch } from '../controller/manifest-watch.ts';
import { errorText, type Log } from '../observability/log.ts';
import type { Clock } from '../router/clock.ts';
import type { Assembly } from './assembly.ts';
import { OutsideError } from './listen.ts';
import { alone, reloadGauges, type Reloads, type ResourceSource } from './source.ts';

/** Resources from a folder of manifests. */
export function manifestSource(
  folder: string,
  routerClass: string,
  { clock, log }: { clock: Clock; log: Log },
): ResourceSource & { readonly reloads: Reloads } {
  const state = new ManifestState(routerClass);
  const reloads: Reloads = { good: 0, faulty: 0 };
  let watch: ManifestWatch | null = null;
  return {
    ...alone,
    reloads,
    discovery: new StaticDiscovery(),
    start(assembly) {
      watch = new ManifestWatch(folder, clock, {
        changed(files) {
          const snapshot = state.update(files);
          for (const fault of snapshot.faults) logFault(log, fault);
          for (const key of snapshot.lastGoodInForce) log.warn('the last good version stays in force', { object: key });
          reloads[snapshot.faults.length === 0 ? 'good' : 'faulty'] += 1;
          assembly.update(snapshot);
          logInForce(log, 'manifests in force', assembly, snapshot.faults.length);
        },
        failed(error) {
          log.error('the manifests cannot be read; what was in force stays', { folder, error: errorText(error) });
        },
      });
      begin(watch, folder);
    },
    gauges: () => reloadGauges(reloads),
    close: () => watch?.close(),
  };
}

function begin(watch: ManifestWatch, folder: string): void {
  try {
    watch.start();
  } catch (error) {
    if (!(error instanceof Error) || !('syscall' in error)) throw error;
    throw new OutsideError(`--manifests ${folder} cannot be read: ${error.message}`);
  }
}

export function logInForce(log: Log, message: string, { store }: Assembly, faults: number): void {
  const { policies, groups } = store.current;
  log.info(message, { policies: policies.length, groups: groups.size, faults });
}

export function logFault(log: Log, { file, line, path, message, cure }: FileFault): void {
  log.warn('manifest at fault', { file, line, path, message, cure });
}
