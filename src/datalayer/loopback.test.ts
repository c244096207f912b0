import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EndpointStates } from '../router/states.ts';
import { Fleet } from './fleet.ts';
import type { FleetEvent } from './report.ts';
import { groupOf, realClock } from './testkit.ts';
import { UpstreamProbe } from '../commands/upstream-probe.ts';

const busy = readFileSync(new URL('testdata/vllm-0.32-busy.txt', import.meta.url));

/** An engine on loopback that can be made to hang, to die and to start anew on its port. */
class Engine {
  metrics: Buffer | string = busy;
  hangs = false;
  models = '{"data":[{"id":"tiny"},{"id":"sql","parent":"tiny"}]}';
  asked = 0;
  private server: Server | null = null;
  private readonly sockets = new Set<Socket>();
  port = 0;

  async start(): Promise<void> {
    const server = createServer((request, response) => {
      this.asked += 1;
      if (this.hangs) return;
      if (request.url === '/metrics') response.end(this.metrics);
      else if (request.url === '/v1/models') response.end(this.models);
      else response.end();
    });
    server.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
    });
    await new Promise<void>((resolve) => server.listen(this.port, '127.0.0.1', resolve));
    this.port = (server.address() as AddressInfo).port;
    this.server = server;
  }

  async die(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => (this.server === null ? resolve(null) : this.server.close(resolve)));
    this.server = null;
  }

  get connections(): number {
    return this.sockets.size;
  }
}

let engines: Engine[];
let fleet: Fleet;
let states: EndpointStates;
let events: FleetEvent[];
let restarts: number[];

beforeEach(async () => {
  engines = [new Engine(), new Engine()];
  for (const engine of engines) await engine.start();
  states = new EndpointStates(8);
  events = [];
  restarts = [];
  fleet = new Fleet({
    states,
    clock: realClock,
    fetch: new UpstreamProbe(realClock),
    onChange: () => {},
    onRestart: (slot) => restarts.push(slot),
    onEvent: (event) => events.push(event),
  });
  fleet.reconcile([
    groupOf(0, {
      endpoints: engines.map(({ port }, i) => ({
        name: `e${i + 1}`,
        address: `127.0.0.1:${port}`,
        labels: {},
        ports: {},
      })),
      metrics: { interval: 20, timeout: 100, path: '/metrics', staleAfter: 200 },
      health: { ...groupOf(0).health, interval: 20, timeout: 100 },
    }),
  ]);
});

afterEach(async () => {
  fleet.close();
  for (const engine of engines) await engine.die();
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

const reasons = () => fleet.members('ns/g').map(({ reason }) => reason);
const stale = () => fleet.members('ns/g').map(({ staleSince }) => staleSince !== null);

describe('a fleet of engines on loopback', () => {
  it('learns load, cache and models', async () => {
    await until(() => fleet.models('ns/g').length === 2 && states.scrapedAt[0] > 0 && states.scrapedAt[1] > 0);
    expect([states.running[0], states.usage[1], fleet.cacheTokens(0)]).toEqual([4, 0.7301587301587302, 2048]);
    expect(fleet.models('ns/g')).toEqual(['tiny', 'sql']);
    expect(fleet.summary('ns/g')).toMatchObject({ total: 2, ready: 2, kvCachePercent: 73 });
  });

  it('throws a killed engine out, and takes it back, its cache forgotten, when it has been started again', async () => {
    await until(() => states.scrapedAt[0] > 0 && states.scrapedAt[1] > 0 && fleet.models('ns/g').length > 0);
    await engines[1].die();
    await until(() => reasons()[1] === 'Unhealthy');
    expect(reasons()[0]).toBe('Ready');
    await engines[1].start();
    await until(() => reasons()[1] === 'Ready');
    expect(restarts).toContain(1);
    expect(restarts).not.toContain(0);
  });

  it('throws an engine out that accepts connections and never answers, and lets its numbers go', async () => {
    await until(() => states.scrapedAt[0] > 0 && states.scrapedAt[1] > 0);
    engines[1].hangs = true;
    await until(() => reasons()[1] === 'Unhealthy' && stale()[1]);
    expect([reasons()[0], stale()[0]]).toEqual(['Ready', false]);
    engines[1].hangs = false;
    await until(() => reasons()[1] === 'Ready' && !stale()[1]);
    expect(events.map(({ type }) => type)).toContain('MetricsStale');
  });

  it('gives nothing to another engine that has got the address while discovery is blind', async () => {
    await until(() => states.scrapedAt[1] > 0 && fleet.models('ns/g').length > 0);
    fleet.setDiscoveryStale(true);
    await engines[1].die();
    await until(() => reasons()[1] === 'Unhealthy');
    engines[1].models = '{"data":[{"id":"foreign"}]}';
    await engines[1].start();
    engines[1].asked = 0;
    while (engines[1].asked < 50) {
      expect(states.isReady(1)).toBe(false);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(fleet.models('ns/g')).toEqual(['tiny', 'sql']);
    engines[1].models = '{"data":[{"id":"tiny"}]}';
    await until(() => reasons()[1] === 'Ready');
  });

  it('keeps an engine whose metrics alone are broken', async () => {
    engines[1].metrics = 'x'.repeat(5 * 1024 * 1024);
    await until(() => stale()[1] && fleet.counters.scrapeFailures > 3);
    expect(reasons()).toEqual(['Ready', 'Ready']);
  });

  it('leaves no connection behind when it is closed, hung ones included', async () => {
    await until(() => states.scrapedAt[0] > 0);
    engines[1].hangs = true;
    await until(() => fleet.counters.probeFailures > 0);
    fleet.close();
    await until(() => engines.every(({ connections }) => connections === 0));
    expect(engines.map(({ connections }) => connections)).toEqual([0, 0]);
  });
});
