import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Connection } from '../../../epp-protocol/grpc.ts';
import { Conversation, type Picked } from '../../../epp-protocol/conversation.ts';
import { HermesProcess } from '../../testkit/process.ts';
import { get, type TableView } from '../../testkit/router.ts';
import { until } from '../../testkit/until.ts';
import type { Cluster } from '../kit/index.ts';
import type { Place } from './operator.ts';

const config = join(import.meta.dirname, '../../../../config/epp');

/** A namespace with the picker's service account and its rights as `config/epp` has them. */
export async function pickerPlace(cluster: Cluster): Promise<Place> {
  const namespace = await cluster.namespace();
  const files = ['service_account.yaml', 'role.yaml'].map((file) => readFileSync(join(config, file), 'utf8'));
  // What `kustomize edit set namespace` does.
  const text = files.join('---\n').replaceAll('namespace: default', `namespace: ${namespace}`);
  await cluster.apply(text, '-n', namespace);
  return { namespace, kubeconfig: await cluster.serviceAccountKubeconfig(namespace, 'hermes-router-epp') };
}

/** Installs the CRDs of InferenceObjective, of both API groups. */
export async function installObjectives(cluster: Cluster): Promise<void> {
  await cluster.mustKubectl(['apply', '-f', join(import.meta.dirname, '../crds/inferenceobjectives.yaml')]);
  const names = ['llm-d.ai', 'inference.networking.x-k8s.io'].map((group) => `inferenceobjectives.${group}`);
  await cluster.mustKubectl(['wait', '--for=condition=Established', '--timeout=60s', 'crd', ...names]);
}

/** An InferencePool of pods with the label `app: engine`. */
export const inferencePool = (name: string, ...ports: number[]): string => `
apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {name: ${name}}
spec:
  selector: {matchLabels: {app: engine}}
  targetPorts: [${ports.map((number) => `{number: ${number}}`).join(', ')}]
  endpointPickerRef: {name: epp, port: {number: 9002}}
`;

/** `hermes-router epp` beside a cluster, and calls to it as a gateway makes them. */
export class PickerProcess {
  readonly process: HermesProcess;
  private readonly servers: Readonly<Record<'admin' | 'metrics' | 'health', string>>;
  private readonly connections: Connection[] = [];

  private constructor(process: HermesProcess, [metrics, admin, health]: readonly string[]) {
    this.process = process;
    this.servers = { metrics, admin, health };
  }

  static async start(kubeconfig: string, flags: readonly string[]): Promise<PickerProcess> {
    const any = ['--health', '--admin', '--metrics'].flatMap((flag) => [flag, '127.0.0.1:0']);
    const own = ['--secure-serving=false', '--drain-delay', '0s'];
    const process = new HermesProcess(['epp', '--kubeconfig', kubeconfig, ...any, ...own, ...flags]);
    return new PickerProcess(
      process,
      await Promise.all(['metrics', 'admin', 'health'].map((server) => process.address(server))),
    );
  }

  /** Where the picker of a pool listens. */
  async address(pool?: string): Promise<string> {
    await this.process.address('epp');
    const entries = this.process.entries().filter(({ msg, server }) => msg === 'listening' && server === 'epp');
    const found = entries.find((entry) => pool === undefined || entry.pool === pool)?.address;
    if (typeof found !== 'string') throw new Error(`no picker of ${pool} listens: ${this.process.stdout}`);
    return found;
  }

  async connect(pool?: string): Promise<Connection> {
    const connection = await Connection.open(await this.address(pool));
    this.connections.push(connection);
    return connection;
  }

  readiness(): Promise<{ status: number; text: string }> {
    return get(`http://${this.servers.metrics}/readyz`);
  }

  untilReady(): Promise<unknown> {
    const ready = async () => (await this.readiness()).status === 200;
    return until(`the picker is ready; it said: ${this.process.stdout}`, ready, 30_000);
  }

  async table(): Promise<TableView> {
    return JSON.parse((await get(`http://${this.servers.admin}/api/v1/table`)).text) as TableView;
  }

  /** Endpoints by name, with why they are not ready. */
  async members(): Promise<Record<string, string>> {
    const { groups } = await this.table();
    return Object.fromEntries(groups.flatMap(({ members }) => members.map(({ name, reason }) => [name, reason])));
  }

  untilMembers(wanted: Record<string, string>): Promise<unknown> {
    const sorted = JSON.stringify(Object.entries(wanted).sort());
    return until(`members are ${sorted}; the picker said: ${this.process.stdout}`, async () => {
      return JSON.stringify(Object.entries(await this.members()).sort()) === sorted;
    });
  }

  async close(): Promise<void> {
    for (const connection of this.connections) await connection.close();
    await this.process.kill();
  }
}

const body = (model: string | null): string =>
  JSON.stringify({ ...(model === null ? {} : { model }), messages: [{ role: 'user', content: 'hi' }] });

/** One request's pick, given back at once. */
export async function pick(connection: Connection, model: string | null = 'm'): Promise<Picked> {
  const conversation = new Conversation(connection);
  const picked = await conversation.headers().body(body(model)).picked();
  await conversation.finish();
  return picked;
}

/** A request that is sent and has not been answered yet; close its connection to end it. */
export function ask(connection: Connection, headers: Readonly<Record<string, string>> = {}): Conversation {
  const all = { ':method': 'POST', ':path': '/v1/chat/completions', 'content-type': 'application/json', ...headers };
  return new Conversation(connection).headers(all).body(body('m'));
}
