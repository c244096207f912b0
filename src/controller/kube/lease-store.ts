import type { KubeAccount } from './account.ts';
import { KubeUnreachable, type KubeClient, type KubeResponse } from './contract.ts';
import { statusOf } from './kube-object.ts';
import { asLease, type Lease } from './lease.ts';

/** A Lease could not be read or written. */
export class LeaseFailed extends Error {
  override readonly name = 'LeaseFailed';
  readonly status: number;
  /** Milliseconds. */
  readonly retryAfter: number;

  constructor(verb: string, { status, body, retryAfter = 0 }: KubeResponse) {
    super(`cannot ${verb} the lease: ${status} ${statusOf(body).message}`);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** Whose Lease it is. */
export interface LeaseOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  /** Of the Lease. */
  readonly name: string;
  /** The service account that the election runs as, null for another identity. */
  readonly account: () => Promise<KubeAccount | null>;
}

/**
 * The one Lease of an election at the API server. It belongs to the service account that made it: what removes the
 * installation removes the account, and the cluster's garbage collector then the Lease, even one that a leader has made anew
 * in its last seconds. Its calls reject with LeaseFailed or KubeUnreachable.
 */
export class LeaseStore {
  private readonly client: KubeClient;
  private readonly account: LeaseOptions['account'];
  private readonly collection: string;
  private readonly namespace: string;
  private readonly name: string;
  private readonly timeout: number;

  /** `timeout` of each call in milliseconds. */
  constructor({ client, namespace, name, account }: LeaseOptions, timeout: number) {
    this.client = client;
    this.account = account;
    this.namespace = namespace;
    this.name = name;
    this.timeout = timeout;
    this.collection = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`;
  }

  /** Null when there is none. */
  async read(): Promise<Lease | null> {
    const answer = await this.client.send({
      method: 'GET',
      path: `${this.collection}/${this.name}`,
      timeout: this.timeout,
    });
    return answer.status === 404 ? null : leaseOf('read', answer);
  }

  async create(spec: Readonly<Record<string, unknown>>): Promise<Lease> {
    const ownerReferences = await this.owners();
    const metadata = {
      name: this.name,
      namespace: this.namespace,
      ...(ownerReferences.length > 0 && { ownerReferences }),
    };
    const body = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec };
    return leaseOf(
      'create',
      await this.client.send({ method: 'POST', path: this.collection, body, timeout: this.timeout }),
    );
  }

  /** Fails with 409 when somebody else has written it since `held` was read. */
  async replace(held: Lease, spec: Readonly<Record<string, unknown>>): Promise<Lease> {
    const path = `${this.collection}/${this.name}`;
    const body = { ...held.object, spec };
    return leaseOf('write', await this.client.send({ method: 'PUT', path, body, timeout: this.timeout }));
  }

  /** An owner in another namespace would be taken for one that is gone. */
  private async owners(): Promise<Readonly<Record<string, string>>[]> {
    const account = await this.account();
    if (account?.namespace !== this.namespace) return [];
    return [{ apiVersion: 'v1', kind: 'ServiceAccount', name: account.name, uid: account.uid }];
  }
}

function leaseOf(verb: string, answer: KubeResponse): Lease {
  if (answer.status !== 200 && answer.status !== 201) throw new LeaseFailed(verb, answer);
  const lease = asLease(answer.body);
  if (lease === null) throw new KubeUnreachable('the answer is no lease');
  return lease;
}
