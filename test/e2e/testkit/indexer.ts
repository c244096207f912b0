import { Client, type Answer } from './client.ts';
import { ManifestFolder, group, type Document } from './manifests.ts';
import { HermesProcess } from './process.ts';
import { get } from './router.ts';
import { until } from './until.ts';

/** Where an engine publishes KV events. */
export interface Published {
  readonly address: string;
  readonly kvEvents: { readonly events: string; readonly replay: string | null } | null;
}

/** A group of engines at fixed addresses, with the ports at which they publish KV events. */
export function publishing(name: string, engines: readonly Published[], spec: Document = {}): Document {
  const endpoints = engines.map(({ address, kvEvents }, i) => {
    const ports = [
      { name: 'zmq-pub', port: portOf(kvEvents?.events) },
      { name: 'zmq-replay', port: portOf(kvEvents?.replay) },
    ];
    return { name: `e${i + 1}`, address, ports: ports.filter(({ port }) => port > 0) };
  });
  const discovery = { type: 'Static', static: { endpoints } };
  return group(name, [], { discovery, kvCache: { type: 'Events' }, ...spec });
}

const portOf = (endpoint: string | null | undefined): number =>
  Number(endpoint?.slice(endpoint.lastIndexOf(':') + 1) ?? 0);

export interface Row {
  readonly pod: string;
  readonly address: string;
  readonly matched_tokens: number;
  readonly hit_rate: number;
  readonly tiers: { readonly gpu: number; readonly cpu: number; readonly disk: number };
}

export interface Matches {
  readonly model: string;
  readonly block_size: number;
  readonly tokens: number;
  readonly matches: readonly Row[];
}

/** A running `hermes-router cache-indexer`. */
export class RunningIndexer {
  readonly manifests: ManifestFolder;
  /** `host:port`; the same after a restart. */
  address = '';
  process: HermesProcess;
  client: Client;
  private readonly flags: readonly string[];

  private constructor(documents: readonly Document[], flags: readonly string[]) {
    this.manifests = new ManifestFolder(documents);
    this.flags = flags;
    this.process = this.launch('127.0.0.1:0');
    this.client = new Client('127.0.0.1:0');
  }

  /** Starts one and waits until it calls itself ready. */
  static async start(documents: readonly Document[], flags: readonly string[] = []): Promise<RunningIndexer> {
    const indexer = new RunningIndexer(documents, flags);
    await indexer.listening();
    await indexer.ready();
    return indexer;
  }

  /** Kills it and starts it anew where it was. */
  async restart(): Promise<void> {
    await this.process.kill();
    this.process = this.launch(this.address);
    await this.listening();
    await this.ready();
  }

  async ready(): Promise<void> {
    await until(
      `cache-indexer is ready; it said: ${this.process.stdout}`,
      async () => (await this.page('readyz')).status === 200,
    );
  }

  page(name: string): Promise<{ status: number; text: string }> {
    return get(`http://${this.address}/${name}`);
  }

  ask(question: object | string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return this.client.post('/match_sort', question, { headers });
  }

  /** What it answers; throws where it refuses. */
  async matches(question: object): Promise<Matches> {
    const { status, text } = await this.ask(question);
    if (status !== 200) throw new Error(`${status} ${text}`);
    return JSON.parse(text) as Matches;
  }

  /** Tokens matched by pod. */
  async matched(question: object): Promise<Record<string, number>> {
    const { matches } = await this.matches(question);
    return Object.fromEntries(matches.map(({ pod, matched_tokens }) => [pod, matched_tokens]));
  }

  async close(): Promise<void> {
    await this.client.close();
    await this.process.kill();
    this.manifests.dispose();
  }

  private launch(address: string): HermesProcess {
    const args = ['cache-indexer', '--manifests', this.manifests.path, '--listen', address, '--drain-delay', '0s'];
    return new HermesProcess([...args, ...this.flags]);
  }

  private async listening(): Promise<void> {
    this.address = await this.process.address('cache-indexer');
    await this.client.close();
    this.client = new Client(this.address);
  }
}
