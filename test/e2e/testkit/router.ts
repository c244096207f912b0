import { Agent, request } from 'undici';
import { ManifestFolder, type Document } from './manifests.ts';
import { HermesProcess } from './process.ts';
import { settled, until } from './until.ts';

/** A running `hermes-router serve`. */
export interface RunningRouter {
  readonly process: HermesProcess;
  readonly manifests: ManifestFolder;
  /** `host:port` of the three servers. */
  readonly proxy: string;
  readonly admin: string;
  readonly metrics: string;
  stop(): Promise<void>;
}

export interface RouterOptions {
  /** Groups whose engines are not expected to be there. */
  readonly away?: readonly string[];
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts a router and waits until it calls itself ready and its endpoints, too. */
export async function startRouter(documents: readonly Document[], options: RouterOptions = {}): Promise<RunningRouter> {
  const manifests = new ManifestFolder(documents);
  const anyPort = ['--listen', '--admin', '--metrics'].flatMap((flag) => [flag, '127.0.0.1:0']);
  const args = ['serve', '--manifests', manifests.path, ...anyPort, '--drain-delay', '0s', ...(options.flags ?? [])];
  const process = new HermesProcess(args, options.env);
  const [metrics, admin, proxy] = await Promise.all(['metrics', 'admin', 'proxy'].map((name) => process.address(name)));
  const stop = async (): Promise<void> => {
    await process.kill();
    manifests.dispose();
  };
  const router = { process, manifests, proxy, admin, metrics, stop };
  await until('the router is ready', async () => (await get(`http://${metrics}/readyz`)).status === 200);
  const away = new Set(options.away?.map((name) => `default/${name}`));
  await until(`the endpoints are ready; the router said: ${process.stdout}`, async () => {
    const { groups } = await readTable(router);
    return groups.every(({ group, members }) => away.has(group) || members.every(({ reason }) => reason === 'Ready'));
  });
  return router;
}

// Connections are not kept: those to the router are counted when leaks are looked for.
const agent = new Agent({ pipelining: 0 });

export async function get(url: string): Promise<{ status: number; text: string }> {
  const { statusCode, body } = await request(url, { dispatcher: agent });
  return { status: statusCode, text: await body.text() };
}

/** Sum of a metric over all series whose labels contain `labels`, written as in `policy="default/a"`; 0 where there is none. */
export function metric(router: RunningRouter, name: string, labels = ''): Promise<number> {
  return metricAt(router.metrics, name, labels);
}

/** The same of any process that has its metrics at `address`. */
export async function metricAt(address: string, name: string, labels = ''): Promise<number> {
  const { text } = await get(`http://${address}/metrics`);
  let sum = 0;
  for (const line of text.split('\n')) {
    const series = line.slice(0, line.lastIndexOf(' '));
    if (series !== name && !series.startsWith(`${name}{`)) continue;
    if (series.includes(labels)) sum += Number(line.slice(series.length + 1));
  }
  return sum;
}

/** What `/api/v1/table` says of an endpoint of a group. */
export async function reasonOf(router: RunningRouter, group: string, endpoint: string): Promise<string | undefined> {
  const table = await readTable(router);
  const found = table.groups.find((one) => one.group === `default/${group}`);
  return found?.members.find((member) => member.name === endpoint)?.reason;
}

export interface TableView {
  readonly generation: number;
  readonly models: readonly string[];
  readonly policies: readonly { policy: string; effectiveProfile: string | null }[];
  readonly groups: readonly { group: string; members: readonly { name: string; address: string; reason: string }[] }[];
  readonly conditions: readonly {
    readonly key: string;
    readonly conditions: readonly { type: string; status: string; reason: string; message: string }[];
  }[];
  readonly faults: readonly unknown[];
  readonly lastGoodInForce: readonly string[];
}

export async function readTable(router: RunningRouter): Promise<TableView> {
  return JSON.parse((await get(`http://${router.admin}/api/v1/table`)).text) as TableView;
}

/** Waits until no request is left in the router. */
export async function idle(router: RunningRouter): Promise<void> {
  await until('no request in flight', async () => (await metric(router, 'hermes_requests_in_flight')) === 0);
}

/**
 * Sockets of a router that does nothing for anybody. Connections to engines may idle for a while, so it is only right
 * once the engines have closed them, which simulated ones do after five seconds.
 */
export function restingSockets(router: RunningRouter): Promise<number> {
  return settled('the number of sockets rests', () => router.process.sockets(), 1500);
}
