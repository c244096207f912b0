import { HermesProcess } from '../../testkit/process.ts';
import { get, metric, readTable, type RunningRouter, type TableView } from '../../testkit/router.ts';
import { until } from '../../testkit/until.ts';
import type { Cluster } from '../kit/index.ts';

export interface OperatorOptions {
  /** Kubeconfig of the router's own service account. */
  readonly kubeconfig: string;
  readonly name?: string;
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Addresses of the admin API; known beforehand where replicas must know each other. */
  readonly admin?: string;
}

/** For engines on loopback and statuses that tests need not wait for. */
export const quick = ['--allow-external-targets', '--status-interval', '1s'] as const;

/** A replica of the router that takes its resources from the cluster. */
export class Operator {
  readonly name: string;
  readonly process: HermesProcess;
  readonly proxy: string;
  readonly admin: string;
  readonly metrics: string;

  private constructor(name: string, process: HermesProcess, [proxy, admin, metrics]: readonly string[]) {
    this.name = name;
    this.process = process;
    this.proxy = proxy;
    this.admin = admin;
    this.metrics = metrics;
  }

  /** Starts a replica; it may not be ready yet. */
  static async start(options: OperatorOptions): Promise<Operator> {
    const { kubeconfig, name = 'replica-0', flags = [], env = {}, admin = '127.0.0.1:0' } = options;
    const own = ['--listen', '127.0.0.1:0', '--admin', admin, '--metrics', '127.0.0.1:0', '--replica-name', name];
    const all = ['serve', '--kubeconfig', kubeconfig, ...own, '--drain-delay', '0s', ...flags];
    const process = new HermesProcess(all, env);
    const addresses = await Promise.all(['proxy', 'admin', 'metrics'].map((server) => process.address(server)));
    return new Operator(name, process, addresses);
  }

  /** Starts a replica and waits until it is ready. */
  static async ready(options: OperatorOptions): Promise<Operator> {
    const operator = await Operator.start(options);
    await operator.untilReady();
    return operator;
  }

  untilReady(): Promise<unknown> {
    return until(`${this.name} is ready; it said: ${this.process.stdout}`, () => this.isReady(), 30_000);
  }

  async isReady(): Promise<boolean> {
    return (await get(`http://${this.metrics}/readyz`)).status === 200;
  }

  table(): Promise<TableView> {
    return readTable(this.asRouter());
  }

  metric(name: string, labels = ''): Promise<number> {
    return metric(this.asRouter(), name, labels);
  }

  async leads(): Promise<boolean> {
    return (await this.metric('hermes_leader')) === 1;
  }

  kill(): Promise<void> {
    return this.process.kill();
  }

  /** Ends it as a cluster does; it hands the lead over. */
  async stop(): Promise<void> {
    this.process.signal('SIGTERM');
    await this.process.exit;
  }

  private asRouter(): RunningRouter {
    const { process, proxy, admin, metrics } = this;
    // The readers of a router's servers want their addresses only.
    return { process, proxy, admin, metrics } as unknown as RunningRouter;
  }
}

/** What a release is installed with: the service account and its rights in a fresh namespace. */
export interface Place {
  readonly namespace: string;
  readonly kubeconfig: string;
}

/** A namespace with the router's service account and RBAC as `config/rbac` has it. */
export async function placeFor(cluster: Cluster): Promise<Place> {
  const namespace = await cluster.namespace();
  const rbac = new URL('../../../../config/rbac', import.meta.url).pathname;
  const text = await cluster.mustKubectl(['kustomize', rbac]);
  // What `kustomize edit set namespace` does.
  await cluster.apply(text.replaceAll('namespace: default', `namespace: ${namespace}`), '-n', namespace);
  return { namespace, kubeconfig: await cluster.serviceAccountKubeconfig(namespace, 'hermes-router') };
}

export interface StatusCondition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration?: number;
  readonly lastTransitionTime: string;
}

interface WithStatus {
  readonly metadata: { readonly uid: string; readonly generation: number; readonly resourceVersion: string };
  readonly status?: Readonly<Record<string, unknown>> & { readonly conditions?: readonly StatusCondition[] };
}

/** An object of ours as the API server has it. */
export async function read(cluster: Cluster, kind: 'rp' | 'bg', namespace: string, name: string): Promise<WithStatus> {
  const plural = kind === 'rp' ? 'routingpolicies' : 'backendgroups';
  const path = `/apis/hermes-router.io/v1alpha1/namespaces/${namespace}/${plural}/${name}`;
  const { status, body } = await cluster.api('GET', path);
  if (status !== 200) throw new Error(`${path}: ${status}`);
  return (typeof body === 'string' ? JSON.parse(body) : body) as WithStatus;
}

/** `Accepted=True/Accepted` and so on, of the object's own generation only. */
export function conditions({ metadata, status }: WithStatus): Record<string, string> {
  const current = (status?.conditions ?? []).filter((one) => one.observedGeneration === metadata.generation);
  return Object.fromEntries(current.map(({ type, status: is, reason }) => [type, `${is}/${reason}`]));
}
