import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cluster } from '../../cluster/kit/index.ts';
import { until } from '../../testkit/until.ts';
import { list, podSpec } from './workloads.ts';

const script = readFileSync(join(import.meta.dirname, '../pod/client.ts'), 'utf8');

/** What a load has come to; see pod/client.ts. */
export interface LoadReport {
  readonly done: number;
  /** Accepted and not answered to the end. */
  readonly lost: number;
  /** The connection was refused, or ended before any answer. */
  readonly refused: number;
  /** With an error. */
  readonly answered: number;
  /** Not with the text that this prompt has. */
  readonly wrong: number;
  readonly faults: readonly string[];
  readonly longestPauseMs: number;
}

export interface PodAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}

/** A pod that asks for the tests, by the names and addresses of the cluster: whatever the cluster, tests reach it. */
export class ClientPod {
  private readonly cluster: Cluster;
  private readonly path: string;

  private constructor(cluster: Cluster, namespace: string) {
    this.cluster = cluster;
    this.path = `/api/v1/namespaces/${namespace}/pods/client:8080/proxy`;
  }

  /** Made in a namespace, and ready; it goes with the namespace. */
  static async start(cluster: Cluster, namespace: string, labels: Record<string, string> = {}): Promise<ClientPod> {
    const container = {
      command: ['/usr/local/bin/node', '/client/client.ts'],
      readinessProbe: { httpGet: { path: '/healthz', port: 8080 }, periodSeconds: 1 },
      resources: { requests: { cpu: '20m', memory: '64Mi' } },
      volumeMounts: [{ name: 'script', mountPath: '/client' }],
    };
    const volumes = [{ name: 'script', configMap: { name: 'client' } }];
    const spec = podSpec(container, { volumes, terminationGracePeriodSeconds: 1 });
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'client', labels: { app: 'client', ...labels } },
      spec,
    };
    const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'client' }, data: { 'client.ts': script } };
    await cluster.apply(list(map, pod), '-n', namespace);
    await cluster.mustKubectl(['wait', '-n', namespace, '--for=condition=Ready', '--timeout=60s', 'pod/client']);
    return new ClientPod(cluster, namespace);
  }

  /** One request. Rejects when nobody answers. */
  async ask(method: string, url: string, body?: unknown, headers?: Record<string, string>): Promise<PodAnswer> {
    const answer = (await this.post('/ask', { method, url, body, headers })) as PodAnswer | { error: string };
    if ('error' in answer) throw new Error(`${method} ${url}: ${answer.error}`);
    return answer;
  }

  /** A chat with one word as its prompt. */
  chat(url: string, model: string, more: object = {}): Promise<PodAnswer> {
    const messages = [{ role: 'user', content: 'Hello' }];
    return this.ask('POST', `${url}/v1/chat/completions`, { model, messages, max_tokens: 5, ...more });
  }

  /** Waits until chats are answered. A Service has its endpoints on the node up to a second after they are ready. */
  async answered(url: string, model: string): Promise<void> {
    const answers = () =>
      this.chat(url, model).then(
        ({ status }) => status === 200,
        () => false,
      );
    await until(`${url} answers`, answers, 30_000);
  }

  /** Begins to ask for answers of 150 tokens, about one second each, without a break. */
  async startLoad(url: string, model: string, clients = 8): Promise<void> {
    await this.post('/start', { url, model, clients, maxTokens: 150 });
  }

  async report(): Promise<LoadReport> {
    return (await this.post('/report', {})) as LoadReport;
  }

  /** Waits for the answers under way. */
  async stopLoad(): Promise<LoadReport> {
    return (await this.post('/stop', {})) as LoadReport;
  }

  private async post(action: string, body: object): Promise<unknown> {
    const answer = await this.cluster.api('POST', `${this.path}${action}`, body);
    if (answer.status !== 200)
      throw new Error(`${action} of the client's pod: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }
}
