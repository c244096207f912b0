import { StaticDiscovery, type Discovery } from '../controller/found.ts';
import { ConfigFileWatch } from '../controller/config-file-watch.ts';
import { ConfigFileState, type ConfigSnapshot, type ReadConfig } from '../controller/config-file-state.ts';
import type { KubeClient } from '../controller/kube/contract.ts';
import type { Log } from '../observability/log.ts';
import type { Clock } from '../router/clock.ts';
import { ClusterDriver } from './cluster/driver.ts';
import { beginFollowing } from './follow-file.ts';
import { logFault, logInForce } from './resource-log.ts';
import { alone, reloadGauges, type Driven, type PlainSource, type Reloads } from './source.ts';

export interface ConfigSourceOptions {
  readonly path: string;
  /** Null where there is no cluster: then discovery finds nothing, and says so. */
  readonly client: KubeClient | null;
  /** Reads the file's text; of v25.09's form unless given. */
  readonly read?: ReadConfig;
  readonly clock: Clock;
  readonly log: Log;
}

/** Resources from a configuration file; engines are looked for in the cluster. */
export function configSource({ path, client, read, clock, log }: ConfigSourceOptions): PlainSource {
  const reloads: Reloads = { good: 0, faulty: 0 };
  let snapshot: ConfigSnapshot | null = null;
  let driven: Driven | null = null;
  const driver =
    client === null
      ? null
      : new ClusterDriver({
          client,
          allNamespaces: false,
          // The operator's own file may name what it likes; what it discovers may not.
          allowExternalTargets: false,
          // One group, of engines that the file's namespace says are its own.
          trustsSlices: true,
          clock,
          log,
          form: 'configuration',
          snapshot: () => snapshot,
        });
  const discovery: Discovery = driver?.index ?? new StaticDiscovery();
  const state = new ConfigFileState(path, client?.namespace ?? 'default', read);
  const watch = new ConfigFileWatch(state, clock, (next) => {
    snapshot = next;
    for (const fault of next.faults) logFault(log, 'configuration', fault);
    for (const note of next.notes) log.info(note.message, { file: note.file, line: note.line, path: note.path });
    if (next.lastGoodInForce.size > 0) log.warn('the last good configuration stays in force', { file: path });
    reloads[next.faults.length === 0 ? 'good' : 'faulty'] += 1;
    if (driver !== null) driver.changed();
    else if (driven !== null) {
      driven.update(next);
      logInForce(log, 'configuration', next);
    }
  });
  return {
    ...alone,
    discovery,
    start(started) {
      driven = started;
      driver?.start(started);
      beginFollowing(watch, '--config', path);
    },
    notReady: () => (driver === null || driver.synced ? null : 'discovery has not been read from the API server yet'),
    gauges: () => reloadGauges(reloads),
    close: () => {
      watch.close();
      driver?.close();
      client?.close();
    },
  };
}
