import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { chatBody } from './testkit/client.ts';
import type { Script, ScriptedEngine } from './testkit/engine.ts';
import { group, policy, type Document } from './testkit/manifests.ts';
import { RawConnection } from './testkit/raw.ts';
import { metric } from './testkit/router.ts';
import { settled, until } from './testkit/until.ts';
import { World } from './testkit/world.ts';

const chat = '/v1/chat/completions';

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => world.close());

describe('clients that leave', () => {
  it('in mid-stream or before the first byte: 40 gone, nothing left in any engine', async () => {
    const engines = await world.sim(2, 'm', { speedUp: 1 });
    const router = await world.serve([
      group(
        'm',
        engines.map(({ address }) => address),
      ),
      policy('m'),
    ]);
    const leaving = new AbortController();
    const waiting = Array.from({ length: 20 }, () =>
      world.client.chat('m', { max_tokens: 100_000 }, { signal: leaving.signal }),
    );
    const streams = await Promise.all(
      Array.from({ length: 20 }, () => world.client.stream('m', { max_tokens: 100_000 })),
    );
    await Promise.all(streams.map((stream) => stream.next()));
    const running = (): number => engines.reduce((sum, engine) => sum + engine.state().activeStreams, 0);
    await until('all are with an engine', () => running() === 40);
    for (const stream of streams) stream.abandon();
    leaving.abort();
    const ends = await Promise.allSettled(waiting);
    expect(new Set(ends.map(({ status }) => status))).toEqual(new Set(['rejected']));
    await until('no stream is left', () => running() === 0);
    expect(engines.reduce((sum, engine) => sum + engine.state().aborted, 0)).toBe(40);
    expect(await metric(router, 'hermes_retries_total')).toBe(0);
    expect((await world.client.chat('m')).status).toBe(200);
  });

  it('while they send their body: the router holds nothing of it', async () => {
    const [engine] = await world.script(1, 'm');
    const router = await world.serve([group('m', [engine.address]), policy('m')], { flags: ['--max-buffered', '1Mi'] });
    // More than the limit in all: what the gone ones held must have been given back.
    for (let i = 0; i < 4; i++) {
      const connection = new RawConnection(router.proxy);
      connection.write(`POST ${chat} HTTP/1.1\r\nhost: x\r\ncontent-length: 500000\r\n\r\n${' '.repeat(400_000)}`);
      await until('it has been sent', () => connection.socket.writableLength === 0);
      connection.destroy();
    }
    await until('a large request is served', async () => {
      const { status } = await world.client.chat('m', { user: 'x'.repeat(600_000) });
      return status === 200;
    });
    expect(engine.seen).toHaveLength(1);
  });
});

describe('a client that reads slowly', () => {
  const total = 96 * 1024 * 1024;
  let written = 0;
  /** Writes as fast as it is let. */
  const flood: Script = (_seen, response) => {
    const event = Buffer.from(`data: ${'x'.repeat(65_528)}\n\n`);
    written = 0;
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const pump = (): void => {
      while (written < total && !response.destroyed) {
        written += event.length;
        if (!response.write(event)) return;
      }
      response.end();
    };
    response.on('drain', pump);
    pump();
  };

  async function stalled(spec: Document): Promise<{ connection: RawConnection; engine: ScriptedEngine }> {
    const [engine] = await world.script(1, 'm', flood);
    const router = await world.serve([group('m', [engine.address]), policy('m', spec)]);
    const memory = await metric(router, 'process_resident_memory_bytes');
    const connection = new RawConnection(router.proxy);
    const body = JSON.stringify(chatBody('m', { stream: true }));
    connection.write(
      `POST ${chat} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    await until('the answer begins', () => connection.received.length > 0);
    connection.reading(false);
    // The kernel's buffers of two connections take some; the router must not take the rest.
    expect(await settled('the engine is held back', () => written)).toBeLessThan(total / 2);
    expect((await metric(router, 'process_resident_memory_bytes')) - memory).toBeLessThan(total / 2);
    return { connection, engine };
  }

  it('holds its engine back instead of filling the memory of the router, and gets all in the end', async () => {
    const { connection } = await stalled({});
    const before = connection.received.length;
    connection.reading(true);
    await until('the end', () => connection.closed);
    expect(connection.received.length).toBeGreaterThan(Math.max(before, total));
    expect(connection.received.endsWith('0\r\n\r\n')).toBe(true);
  });

  it('lets its engine go when it leaves', async () => {
    (await stalled({})).connection.destroy();
  });

  it('is cut when it reads nothing for longer than a stream may idle', async () => {
    const { connection, engine } = await stalled({ timeouts: { streamIdle: '1s' } });
    await until('the engine is let go', () => engine.open === 0);
    connection.reading(true);
    await until('the end', () => connection.closed);
    expect(connection.received.endsWith('0\r\n\r\n')).toBe(false);
  });
});
