import { StaticDiscovery } from '../controller/found.ts';
import { ManifestState, type FileText } from '../controller/manifest-state.ts';
import { ManifestWatch } from '../controller/manifest-watch.ts';
import { errorText, type Log } from '../observability/log.ts';
import type { Clock } from '../router/clock.ts';
import { OutsideError } from './listen.ts';
import { logFault, logInForce } from './resource-log.ts';
import { alone, reloadGauges, type PlainSource, type Reloads } from './source.ts';

export interface ManifestsAround {
  readonly clock: Clock;
  readonly log: Log;
  /** Told of all files before what they say is in force. */
  readonly onFiles?: (files: readonly FileText[]) => void;
}

/** Resources from a folder of manifests. */
export function manifestSource(
  folder: string,
  routerClass: string,
  { clock, log, onFiles }: ManifestsAround,
): PlainSource & { readonly reloads: Reloads } {
  const state = new ManifestState(routerClass);
  const reloads: Reloads = { good: 0, faulty: 0 };
  let watch: ManifestWatch | null = null;
  return {
    ...alone,
    reloads,
    discovery: new StaticDiscovery(),
    start(driven) {
      watch = new ManifestWatch(folder, clock, {
        changed(files) {
          const snapshot = state.update(files);
          onFiles?.(files);
          for (const fault of snapshot.faults) logFault(log, 'manifests', fault);
          for (const key of snapshot.lastGoodInForce) log.warn('the last good version stays in force', { object: key });
          reloads[snapshot.faults.length === 0 ? 'good' : 'faulty'] += 1;
          driven.update(snapshot);
          logInForce(log, 'manifests', snapshot);
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
