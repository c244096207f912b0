import type { BackendGroup } from '../api/backend-group.ts';
import type { Clock } from '../router/clock.ts';
import { errorText, type Log } from '../observability/log.ts';
import type { KubeClient } from './kube/contract.ts';
import { readSecret, type Secrets } from './secrets.ts';

/** Milliseconds between two readings of the same secret: a renewed key is in force after that. */
const shortest = 5000;
/** Of very many secrets no more than ten a second are read. */
const perSecret = 100;

export interface SecretReaderOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
  /** A value has changed. */
  readonly onChange: () => void;
}

/**
 * The secrets that groups name, read one by one and again from time to time. A watch would need the right to read all
 * secrets of the namespace; this needs `get` on those that are named.
 */
export class SecretReader {
  /** A new map for every change. */
  secrets: Secrets = new Map();
  private readonly options: SecretReaderOptions;
  private wanted = new Set<string>();
  /** Keys whose first reading has ended, well or badly. */
  private readonly known = new Set<string>();
  private cancel: () => void = () => undefined;
  private closed = false;

  constructor(options: SecretReaderOptions) {
    this.options = options;
    this.schedule();
  }

  /** Whether every secret that is wanted has been asked for. */
  get synced(): boolean {
    return [...this.wanted].every((key) => this.known.has(key));
  }

  /** Reads the secrets of these groups from now on, and forgets others. */
  want(groups: readonly BackendGroup[]): void {
    const wanted = new Set(groups.flatMap(secretsOf));
    const added = [...wanted].filter((key) => !this.wanted.has(key));
    this.wanted = wanted;
    for (const key of this.known) if (!wanted.has(key)) this.known.delete(key);
    if ([...this.secrets.keys()].some((key) => !wanted.has(key)))
      this.secrets = new Map([...this.secrets].filter(([key]) => wanted.has(key)));
    for (const key of added) this.read(key);
  }

  close(): void {
    this.closed = true;
    this.cancel();
  }

  private schedule(): void {
    this.cancel = this.options.clock.after(Math.max(shortest, perSecret * this.wanted.size), () => {
      for (const key of this.wanted) this.read(key);
      this.schedule();
    });
  }

  private read(key: string): void {
    this.fetch(key)
      .catch((error: unknown) => {
        // What was read before stays: the API server may be away for long.
        this.options.log.warn('a secret cannot be read', { secret: key, error: errorText(error) });
      })
      .finally(() => {
        const first = !this.known.has(key);
        this.known.add(key);
        if (first && !this.closed) this.options.onChange();
      });
  }

  private async fetch(key: string): Promise<void> {
    const [namespace, name] = key.split('/');
    const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/secrets/${encodeURIComponent(name)}`;
    const { status, body } = await this.options.client.send({ method: 'GET', path });
    if (this.closed || !this.wanted.has(key)) return;
    if (status === 200) this.put(key, readSecret(body));
    else if (status === 404) this.put(key, null);
    else throw new Error(`the API server answered ${status}`);
  }

  private put(key: string, values: Readonly<Record<string, string>> | null): void {
    if (JSON.stringify(this.secrets.get(key) ?? null) === JSON.stringify(values)) return;
    const secrets = new Map(this.secrets);
    if (values === null) secrets.delete(key);
    else secrets.set(key, values);
    this.secrets = secrets;
    if (this.known.has(key)) this.options.onChange();
  }
}

function secretsOf({ metadata, spec }: BackendGroup): string[] {
  const { caSecretRef, apiKeySecretRef } = spec.connection;
  const { kvCache } = spec;
  const { prefixStore } = kvCache;
  const token = kvCache.type === 'Manager' ? kvCache.manager.tokenSecretRef : undefined;
  const redis = prefixStore?.type === 'Redis' ? prefixStore.redis : undefined;
  const namespace = metadata.namespace ?? 'default';
  return [caSecretRef, apiKeySecretRef, token, redis?.secretRef, redis?.tls?.caSecretRef].flatMap((ref) =>
    ref === undefined ? [] : [`${namespace}/${ref.name}`],
  );
}
