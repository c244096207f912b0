import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { encode } from '@msgpack/msgpack';
import { vi } from 'vitest';
import { ManualClock } from '../../../test/fixtures/manual-clock.ts';
import { KvEventPublisher } from '../../sim/kv-publisher.ts';
import type { Holder } from '../kv-events.ts';
import { askOverHttp } from './ask-sources.ts';
import { streamLimits } from './limits.ts';
import { Recorder } from './recorder.fixture.ts';
import { KVEventSubscriptions } from './subscriptions.ts';
import type { EventTarget } from './target.ts';

/** Real publishers and subscriptions on loopback, for tests. */

export const loopback = 'tcp://127.0.0.1:0';
const closers: (() => unknown)[] = [];

/** To be called when a test is over. */
export function atEnd(close: () => unknown): void {
  closers.push(close);
}

/** For `afterEach`: closes all that the test has opened, the last first. */
export async function closeAll(): Promise<void> {
  for (const close of closers.splice(0).reverse()) await close();
}

export function portOf(endpoint: string | null): number {
  return Number(endpoint?.slice(endpoint.lastIndexOf(':') + 1));
}

/** Waits, in turns of the event loop, until an assertion holds. */
export function until(holds: () => void): Promise<void> {
  return vi.waitFor(holds, { timeout: 15_000, interval: 2 });
}

export function storedBatch(...hashes: readonly number[]): Uint8Array {
  const tokens = hashes.flatMap((hash) => [hash, hash]);
  return encode([performance.now(), [['BlockStored', hashes, null, tokens, 2, null, 'GPU', null]]]);
}

/** A publisher of the simulator, with or without replay. */
export async function publisher(replays = true): Promise<KvEventPublisher> {
  const asked = { events: loopback, replay: replays ? loopback : null };
  const made = await KvEventPublisher.bind(asked, (error) => {
    throw error;
  });
  atEnd(() => {
    made.close();
  });
  return made;
}

export function targetOf(
  addresses: { events: string; replay: string | null },
  over: Partial<EventTarget> = {},
): EventTarget {
  return {
    key: 'engine-a',
    host: '127.0.0.1',
    eventsPort: portOf(addresses.events),
    replayPort: addresses.replay === null ? null : portOf(addresses.replay),
    ranks: 1,
    topic: 'kv-events',
    api: null,
    ...over,
  };
}

export function subscriptions(places = 100, limits = streamLimits) {
  const clock = new ManualClock();
  const recorder = new Recorder();
  const open = new Set<Holder>();
  const holders = new Map<string, readonly Holder[]>();
  let next = 0;
  const made = new KVEventSubscriptions({
    sink: recorder,
    clock,
    limits,
    ask: askOverHttp(clock),
    onHolders: (key, told) => holders.set(key, told),
    registry: {
      open: () => {
        if (open.size >= places) return null;
        open.add(next);
        return next++;
      },
      close: (holder) => {
        recorder.held.delete(holder);
        open.delete(holder);
      },
    },
  });
  atEnd(() => made.close());
  const phases = (): string[] => made.states().map(({ phase }) => phase);
  const held = (holder = 0): string[] => [...recorder.of(holder)];
  return { made, clock, recorder, open, holders, phases, held, counters: made.counters };
}

/** An HTTP server that answers every request alike; its port. */
export async function httpServer(body: string, status = 200): Promise<number> {
  const server: Server = createServer((_request, response) => {
    response.writeHead(status).end(body);
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', resolve);
  await promise;
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}
