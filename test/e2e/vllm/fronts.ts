import { Client } from '../testkit/client.ts';
import { RunningLeader } from '../testkit/leader.ts';
import { metricAt, startRouter } from '../testkit/router.ts';
import { pairDocuments, type Pair } from './pair.ts';
import { asks } from './said.ts';

/** Whoever takes requests for a pair and hands them over, with a client of it. */
export interface Front {
  readonly client: Client;
  /** One of its metrics, as `metricAt` sums it. */
  metric(name: string, labels?: string): Promise<number>;
  close(): Promise<void>;
}

async function router(pair: Pair): Promise<Front> {
  const running = await startRouter(pairDocuments(pair));
  const client = new Client(running.proxy);
  return {
    client,
    metric: (name, labels) => metricAt(running.metrics, name, labels),
    async close() {
      await client.close();
      await running.stop();
    },
  };
}

async function leader(pair: Pair): Promise<Front> {
  const running = await RunningLeader.start(pairDocuments(pair));
  return {
    client: running.client,
    metric: (name, labels) => metricAt(running.metrics, name, labels),
    close: () => running.close(),
  };
}

export const names = ['router', 'leader'] as const;
export type Fronts = Readonly<Record<(typeof names)[number], Front>>;

/** A router that hands over by itself, and a leader, of the same pair; `opened` is to close them. */
export async function openFronts(pair: Pair, opened: AsyncDisposableStack): Promise<Fronts> {
  const close = (front: Front) => front.close();
  return { router: opened.adopt(await router(pair), close), leader: opened.adopt(await leader(pair), close) };
}

/** What is asked of each front. */
export const ways = [
  ['a chat', asks.chat, 'whole'],
  ['a chat as a stream', asks.chat, 'stream'],
  ['a completion', asks.completion, 'whole'],
  ['a completion as a stream', asks.completion, 'stream'],
] as const;
