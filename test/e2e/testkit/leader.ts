import { Client } from './client.ts';
import { ManifestFolder, type Document } from './manifests.ts';
import { HermesProcess } from './process.ts';
import { get } from './router.ts';
import { until } from './until.ts';

/** A running `hermes-router pd-proxy`. */
export class RunningLeader {
  readonly process: HermesProcess;
  readonly manifests: ManifestFolder;
  /** `host:port` of what clients use, and of its own metrics. */
  readonly address: string;
  readonly metrics: string;
  readonly client: Client;

  private constructor(process: HermesProcess, manifests: ManifestFolder, [address, metrics]: string[]) {
    this.process = process;
    this.manifests = manifests;
    this.address = address;
    this.metrics = metrics;
    this.client = new Client(address);
  }

  /** Starts a leader and waits until it calls itself ready, and its group whole. */
  static async start(
    documents: readonly Document[],
    flags: readonly string[] = [],
    env: Readonly<Record<string, string>> = {},
  ): Promise<RunningLeader> {
    const manifests = new ManifestFolder(documents);
    const anyPort = ['--listen', '--admin', '--metrics'].flatMap((flag) => [flag, '127.0.0.1:0']);
    const args = ['pd-proxy', '--manifests', manifests.path, ...anyPort, '--drain-delay', '0s', ...flags];
    const process = new HermesProcess(args, env);
    const addresses = await Promise.all(['pd-proxy', 'metrics'].map((name) => process.address(name)));
    const leader = new RunningLeader(process, manifests, addresses);
    await until('the leader is ready', async () => (await get(`http://${leader.metrics}/readyz`)).status === 200);
    await until(
      `the group is whole; the leader said: ${process.stdout}`,
      async () => (await leader.health()).status === 200,
    );
    return leader;
  }

  health(): Promise<{ status: number; text: string }> {
    return get(`http://${this.address}/health`);
  }

  async close(): Promise<void> {
    await this.client.close();
    await this.process.kill();
    this.manifests.dispose();
  }
}
