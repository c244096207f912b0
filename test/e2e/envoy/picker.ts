import { ManifestFolder, type Document } from '../testkit/manifests.ts';
import { HermesProcess } from '../testkit/process.ts';
import { get, metricAt } from '../testkit/router.ts';
import { until } from '../testkit/until.ts';

/** A running `hermes-router epp`. */
export interface RunningPicker {
  readonly process: HermesProcess;
  readonly manifests: ManifestFolder;
  /** `host:port` of the gRPC, gRPC health and metrics servers. */
  readonly grpc: string;
  readonly health: string;
  readonly metrics: string;
  stop(): Promise<void>;
}

export interface PickerOptions {
  readonly pool?: string;
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly tls?: boolean;
}

const servers = ['epp', 'health', 'metrics'] as const;

/** Starts a picker for the BackendGroup `pool` (default `g`) and waits until it is ready. */
export async function startPicker(documents: readonly Document[], options: PickerOptions = {}): Promise<RunningPicker> {
  const manifests = new ManifestFolder(documents);
  const { pool = 'g', tls = false, flags = [], env = {} } = options;
  const anyPort = ['--listen', '--health', '--metrics', '--admin'].flatMap((flag) => [flag, '127.0.0.1:0']);
  const args = ['epp', '--manifests', manifests.path, '--pool-name', pool, ...anyPort];
  const process = new HermesProcess([...args, `--secure-serving=${String(tls)}`, '--drain-delay', '0s', ...flags], env);
  const [grpc, health, metrics] = await Promise.all(servers.map((name) => process.address(name)));
  const stop = async (): Promise<void> => {
    await process.kill();
    manifests.dispose();
  };
  const picker = { process, manifests, grpc, health, metrics, stop };
  await until('the picker is ready', async () => (await get(`http://${metrics}/readyz`)).status === 200);
  return picker;
}

/** Waits until a picker's books are at zero. */
export async function pickerIdle({ metrics }: RunningPicker): Promise<void> {
  await until('no call in the picker', async () => (await metricAt(metrics, 'hermes_requests_in_flight')) === 0);
}
