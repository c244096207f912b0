import type { Cluster } from '../../test/e2e/cluster/kit/cluster.ts';

export type Kind = 'BackendGroup' | 'RoutingPolicy';

const apiVersion = 'hermes-router.io/v1alpha1';
const plurals: Readonly<Record<Kind, string>> = { BackendGroup: 'backendgroups', RoutingPolicy: 'routingpolicies' };
/** Requests to the API server at a time. */
const abreast = 16;

/** Pairs of a group with ten endpoints and a policy for it; every field that is not named keeps its default. */
export class Objects {
  private readonly cluster: Cluster;
  private readonly namespace: string;
  private readonly endpoints: readonly { name: string; address: string }[];

  constructor(cluster: Cluster, namespace: string, ports: readonly number[]) {
    this.cluster = cluster;
    this.namespace = namespace;
    this.endpoints = ports.map((port, i) => ({ name: `e${i}`, address: `127.0.0.1:${port}` }));
  }

  async create(pairs: number): Promise<void> {
    let next = 0;
    const worker = async (): Promise<void> => {
      for (let i = next++; i < pairs; i = next++) {
        await this.send('POST', 'BackendGroup', '', {
          apiVersion,
          kind: 'BackendGroup',
          metadata: { name: `g${i}` },
          spec: {
            models: [`model-${i}`],
            discovery: { type: 'Static', static: { endpoints: this.endpoints } },
          },
        });
        await this.send('POST', 'RoutingPolicy', '', {
          apiVersion,
          kind: 'RoutingPolicy',
          metadata: { name: `p${i}` },
          spec: { backendRefs: [{ name: `g${i}` }] },
        });
      }
    };
    await Promise.all(Array.from({ length: abreast }, worker));
  }

  /** Lets requests for one more model name in, which only a new table knows. */
  async edit(kind: Kind, i: number, alias: string): Promise<void> {
    const models = [`model-${i}`, alias];
    const spec = kind === 'RoutingPolicy' ? { match: { models } } : { models };
    await this.send('PATCH', kind, kind === 'RoutingPolicy' ? `p${i}` : `g${i}`, { spec });
  }

  /** Objects of a kind as the API server has them. */
  async list(kind: Kind): Promise<readonly Listed[]> {
    const { status, body } = await this.cluster.api('GET', this.path(kind, ''));
    if (status !== 200) throw new Error(`listing ${kind}: ${status}`);
    return (body as { items: Listed[] }).items;
  }

  private async send(method: string, kind: Kind, name: string, object: unknown): Promise<void> {
    const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
    const { status, body } = await this.cluster.api(method, this.path(kind, name), object, type);
    if (status !== 200 && status !== 201) throw new Error(`${method} ${kind}: ${status} ${JSON.stringify(body)}`);
  }

  private path(kind: Kind, name: string): string {
    return `/apis/${apiVersion}/namespaces/${this.namespace}/${plurals[kind]}${name === '' ? '' : `/${name}`}`;
  }
}

export interface Listed {
  readonly metadata: { readonly name: string; readonly generation: number };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

/** Whether a router has said of the object's own generation that all is well. */
export function isTruthful({ metadata, status }: Listed): boolean {
  const conditions = status?.conditions ?? [];
  return (
    status?.observedGeneration === metadata.generation &&
    conditions.length > 0 &&
    conditions.every((condition) => condition.status === 'True')
  );
}
