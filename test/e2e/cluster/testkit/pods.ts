import type { Cluster } from '../kit/index.ts';

export interface PodOptions {
  readonly name: string;
  readonly ip: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly port?: number;
  readonly ready?: boolean;
}

/** Pods without a kubelet: their status is written by hand, as a kubelet would. */
export class Pods {
  private readonly cluster: Cluster;
  private readonly namespace: string;
  private node: Promise<string> | null = null;

  constructor(cluster: Cluster, namespace: string) {
    this.cluster = cluster;
    this.namespace = namespace;
  }

  async run({ name, ip, labels = { app: 'engine' }, port = 8000, ready = true }: PodOptions): Promise<void> {
    this.node ??= this.cluster.paperNode();
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, labels },
      spec: {
        nodeName: await this.node,
        terminationGracePeriodSeconds: 60,
        tolerations: [{ operator: 'Exists' }],
        containers: [{ name: 'engine', image: 'engine', ports: [{ name: 'http', containerPort: port }] }],
      },
    };
    await this.expect([201], this.cluster.api('POST', this.path(), pod));
    await this.setStatus(name, ip, ready);
  }

  /** What a kubelet says of the pod. */
  async setStatus(name: string, ip: string, ready: boolean): Promise<void> {
    const now = new Date().toISOString();
    const conditions = ['PodScheduled', 'Initialized', 'ContainersReady', 'Ready'].map((type) => ({
      type,
      status: ready || !type.endsWith('Ready') ? 'True' : 'False',
      lastTransitionTime: now,
    }));
    const status = { phase: 'Running', podIP: ip, podIPs: [{ ip }], hostIP: ip, conditions };
    await this.expect(
      [200],
      this.cluster.api('PATCH', `${this.path(name)}/status`, { status }, 'application/strategic-merge-patch+json'),
    );
  }

  /** Begins its termination; nobody ends it. */
  terminate(name: string): Promise<unknown> {
    return this.expect([200, 202], this.cluster.api('DELETE', this.path(name), { gracePeriodSeconds: 60 }));
  }

  /** Gone at once. */
  remove(name: string): Promise<unknown> {
    return this.expect([200], this.cluster.api('DELETE', this.path(name), { gracePeriodSeconds: 0 }));
  }

  private path(name = ''): string {
    return `/api/v1/namespaces/${this.namespace}/pods${name === '' ? '' : `/${name}`}`;
  }

  private async expect(statuses: readonly number[], answer: ReturnType<Cluster['api']>): Promise<void> {
    const { status, body } = await answer;
    if (!statuses.includes(status)) throw new Error(`${status}: ${JSON.stringify(body)}`);
  }
}
