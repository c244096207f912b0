import { ManifestFolder, type Document } from './manifests.ts';
import { HermesProcess } from './process.ts';
import { get } from './router.ts';
import { until } from './until.ts';

/** A running `hermes-router pd-proxy`. */
export interface RunningLeader {
  readonly process: HermesProcess;
  readonly manifests: ManifestFolder;
  /** `host:port` of the servers. */
  readonly proxy: string;
  readonly admin: string;
  readonly metrics: string;
  stop(): Promise<void>;
}

/** Starts a leader of the only disaggregated group in `documents`, and waits until all engines of it are ready. */
export async function startLeader(
  documents: readonly Document[],
  flags: readonly string[] = [],
): Promise<RunningLeader> {
  const manifests = new ManifestFolder(documents);
  const anyPort = ['--listen', '--admin', '--metrics'].flatMap((flag) => [flag, '127.0.0.1:0']);
  const args = ['pd-proxy', '--manifests', manifests.path, ...anyPort, '--drain-delay', '0s', ...flags];
  const process = new HermesProcess(args);
  const [proxy, admin, metrics] = await Promise.all(
    ['pd-proxy', 'admin', 'metrics'].map((name) => process.address(name)),
  );
  const stop = async (): Promise<void> => {
    await process.kill();
    manifests.dispose();
  };
  await until('the engines are ready', async () => (await get(`http://${proxy}/health`)).status === 200);
  return { process, manifests, proxy, admin, metrics, stop };
}
