import { Client } from '../../testkit/client.ts';
import { HermesProcess } from '../../testkit/process.ts';
import { get, type TableView } from '../../testkit/router.ts';
import { until } from '../../testkit/until.ts';
import type { Cluster } from '../kit/index.ts';
import type { Place } from './operator.ts';

interface Container {
  readonly args: readonly string[];
  readonly env?: readonly { readonly name: string; readonly valueFrom: { readonly fieldRef: { fieldPath: string } } }[];
}

interface Deployment {
  readonly spec: {
    readonly template: {
      readonly metadata: { readonly labels: Readonly<Record<string, string>> };
      readonly spec: { readonly serviceAccountName: string; readonly containers: readonly Container[] };
    };
  };
}

/** A namespace with a folder of config/ that runs a leader, under the strictest pod security. */
export async function leaderPlace(cluster: Cluster, folder = 'pd-proxy'): Promise<Place> {
  const namespace = await cluster.namespace();
  const label = (mode: string): string => `pod-security.kubernetes.io/${mode}=restricted`;
  await cluster.mustKubectl(['label', 'namespace', namespace, label('warn')]);
  const { code, stderr } = await cluster.applyConfig(folder, namespace);
  if (code !== 0 || stderr !== '') throw new Error(`config/${folder} does not apply: ${stderr}`);
  return { namespace, kubeconfig: await cluster.serviceAccountKubeconfig(namespace, 'hermes-router-pd-proxy') };
}

/** Pods on loopback are external targets: no cluster has them. */
export const onLoopback = ['--allow-external-targets'] as const;

/** `hermes-router pd-proxy` beside a cluster. */
export class LeaderProcess {
  readonly process: HermesProcess;
  readonly address: string;
  readonly client: Client;
  private readonly servers: Readonly<Record<'metrics' | 'admin', string>>;

  private constructor(process: HermesProcess, [address, metrics, admin]: readonly string[]) {
    this.process = process;
    this.address = address;
    this.client = new Client(address);
    this.servers = { metrics, admin };
  }

  static async start(
    { kubeconfig }: Place,
    flags: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<LeaderProcess> {
    const any = ['--listen', '--metrics', '--admin'].flatMap((flag) => [flag, '127.0.0.1:0']);
    const own = ['--kubeconfig', kubeconfig, '--drain-delay', '0s'];
    const process = new HermesProcess(['pd-proxy', ...any, ...own, ...flags], env);
    const addresses = ['pd-proxy', 'metrics', 'admin'].map((server) => process.address(server));
    return new LeaderProcess(process, await Promise.all(addresses));
  }

  /** What the Deployment of a place runs, where there is no kubelet: its arguments, its labels as its environment. */
  static async ofDeployment(
    cluster: Cluster,
    place: Place,
    port: number,
    flags: readonly string[] = [],
  ): Promise<LeaderProcess> {
    const args = ['get', 'deployment', 'hermes-router-pd-proxy', '-n', place.namespace, '-o', 'json'];
    const { metadata, spec } = (JSON.parse(await cluster.mustKubectl(args)) as Deployment).spec.template;
    const [container] = spec.containers;
    const env = (container.env ?? []).map(({ name, valueFrom }) => {
      const label = /^metadata\.labels\['(.*)'\]$/.exec(valueFrom.fieldRef.fieldPath)?.[1] ?? '';
      return [name, metadata.labels[label]];
    });
    const [, ...given] = container.args;
    const own = given.filter((arg) => !/^--(listen|metrics)=/.test(arg));
    // A BackendGroup tells the port itself.
    const ported = own.some((arg) => arg.startsWith('--backend-group')) ? [] : ['--target-port', String(port)];
    const all = [...own, ...ported, ...onLoopback, ...flags];
    return LeaderProcess.start(place, all, Object.fromEntries(env) as Record<string, string>);
  }

  readiness(): Promise<{ status: number; text: string }> {
    return get(`http://${this.servers.metrics}/readyz`);
  }

  async untilReady(): Promise<this> {
    const ready = async () => (await this.readiness()).status === 200;
    await until(`the leader is ready; it said: ${this.process.stdout}`, ready, 30_000);
    return this;
  }

  /** Engines by name, with whether each is ready. */
  async engines(): Promise<Record<string, boolean>> {
    const { text } = await this.client.get('/listEndPoints');
    const { prefill, decode } = JSON.parse(text) as Record<'prefill' | 'decode', { pod: string; ready: boolean }[]>;
    return Object.fromEntries([...prefill, ...decode].map(({ pod, ready }) => [pod, ready]).sort());
  }

  async untilEngines(...names: readonly string[]): Promise<void> {
    const wanted = JSON.stringify(Object.fromEntries(names.toSorted().map((name) => [name, true])));
    const there = async () => JSON.stringify(await this.engines()) === wanted;
    await until(`the engines are ${wanted}; the leader said: ${this.process.stdout}`, there, 30_000);
  }

  async table(): Promise<TableView> {
    return JSON.parse((await get(`http://${this.servers.admin}/api/v1/table`)).text) as TableView;
  }

  health(): Promise<{ status: number; text: string }> {
    return get(`http://${this.address}/health`);
  }

  async close(): Promise<void> {
    await this.client.close();
    await this.process.kill();
  }
}
