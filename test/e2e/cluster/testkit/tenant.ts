import { randomBytes } from 'node:crypto';
import { createServer, type AddressInfo, type Server } from 'node:net';
import type { Cluster } from '../kit/index.ts';
import type { Answer } from '../kit/command.ts';
import { until } from '../../testkit/until.ts';
import { conditions, placeFor, read } from './operator.ts';

/** Who may write everything in a namespace of his own, and nothing anywhere else. */
export class Tenant {
  readonly namespace: string;
  private readonly cluster: Cluster;
  private readonly kubeconfig: string;

  private constructor(cluster: Cluster, namespace: string, kubeconfig: string) {
    this.cluster = cluster;
    this.namespace = namespace;
    this.kubeconfig = kubeconfig;
  }

  static async of(cluster: Cluster): Promise<Tenant> {
    const namespace = await cluster.namespace();
    await cluster.apply(rights, '-n', namespace);
    return new Tenant(cluster, namespace, await cluster.serviceAccountKubeconfig(namespace, 'tenant'));
  }

  kubectl(...args: string[]): Promise<Answer> {
    return this.cluster.kubectl([...args, '-n', this.namespace], { kubeconfig: this.kubeconfig });
  }

  tryToApply(...texts: string[]): Promise<Answer> {
    const options = { stdin: texts.join('---\n'), kubeconfig: this.kubeconfig };
    return this.cluster.kubectl(['apply', '-f', '-', '-n', this.namespace], options);
  }

  async apply(...texts: string[]): Promise<void> {
    const { code, stderr } = await this.tryToApply(...texts);
    if (code !== 0) throw new Error(stderr);
  }

  async delete(kind: string, name: string): Promise<void> {
    const { code, stderr } = await this.kubectl('delete', kind, name);
    if (code !== 0) throw new Error(stderr);
  }

  /** Conditions of an object of his, as `conditions` has them. */
  async saidOf(kind: 'rp' | 'bg', name: string): Promise<Record<string, string>> {
    return conditions(await read(this.cluster, kind, this.namespace, name));
  }

  /** What a condition says to people. */
  async messageOf(kind: 'rp' | 'bg', name: string, type: string): Promise<string> {
    const { status } = await read(this.cluster, kind, this.namespace, name);
    return status?.conditions?.find((condition) => condition.type === type)?.message ?? '';
  }

  /** Of hundreds of objects that change at once a status is written five times a second: `limit`, milliseconds. */
  async untilSaid(
    kind: 'rp' | 'bg',
    name: string,
    wanted: Readonly<Record<string, string>>,
    limit = 15_000,
  ): Promise<void> {
    const isSaid = async (): Promise<boolean> => {
      const said = await this.saidOf(kind, name);
      return Object.entries(wanted).every(([type, is]) => said[type] === is);
    };
    await until(`${kind} ${name} says ${JSON.stringify(wanted)}`, isSaid, limit).catch(async (error: unknown) => {
      const { status } = await read(this.cluster, kind, this.namespace, name);
      throw new Error(`${String(error)}; it says ${JSON.stringify(status)}`);
    });
  }
}

/** A router for all namespaces, in one of its own, and two tenants. */
export class Tenancy {
  private readonly cluster: Cluster;
  private readonly binding = `hermes-router-${randomBytes(4).toString('hex')}`;
  /** The router's own. */
  namespace = '';

  constructor(cluster: Cluster) {
    this.cluster = cluster;
  }

  async open(): Promise<{ kubeconfig: string; owner: Tenant; thief: Tenant }> {
    const { cluster } = this;
    const [place, owner, thief] = await Promise.all([placeFor(cluster), Tenant.of(cluster), Tenant.of(cluster)]);
    this.namespace = place.namespace;
    // What config/cluster-wide does.
    const account = `--serviceaccount=${place.namespace}:hermes-router`;
    await cluster.mustKubectl(['create', 'clusterrolebinding', this.binding, '--clusterrole=hermes-router', account]);
    return { kubeconfig: place.kubeconfig, owner, thief };
  }

  async close(): Promise<void> {
    await this.cluster.mustKubectl(['delete', 'clusterrolebinding', this.binding]);
    await this.cluster.close();
  }
}

/** The role `edit`, and what cluster administrators add for whoever is to route: slices and Endpoints by hand as well. */
const rights = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: tenant}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: tenant-edits}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects: [{kind: ServiceAccount, name: tenant}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: tenant}
rules:
  - {apiGroups: [hermes-router.io], resources: [backendgroups, routingpolicies], verbs: ['*']}
  - {apiGroups: [''], resources: [endpoints], verbs: ['*']}
  - {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: ['*']}
  - {apiGroups: [inference.networking.k8s.io], resources: [inferencepools], verbs: ['*']}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: tenant}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: tenant}
subjects: [{kind: ServiceAccount, name: tenant}]
`;

/** Something on loopback that nobody is to reach: it counts who does, and says nothing. */
export class Trap {
  reached = 0;
  private readonly server: Server;

  private constructor() {
    this.server = createServer((socket) => {
      this.reached += 1;
      socket.on('error', () => undefined).resetAndDestroy();
    });
  }

  static async set(): Promise<Trap> {
    const trap = new Trap();
    await new Promise<void>((resolve) => trap.server.listen(0, '127.0.0.1', resolve));
    return trap;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.server.close(() => resolve()));
  }
}
