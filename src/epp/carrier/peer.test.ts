import type { ServerHttp2Session } from 'node:http2';
import { describe, expect, it } from 'vitest';
import { ManualClock } from './carrier.fixture.ts';
import { Peer } from './peer.ts';

/** A session that is open until it is destroyed, of a server that nobody talks to. */
async function withPeer(check: (peer: Peer, clock: ManualClock, open: () => boolean) => void): Promise<void> {
  const { createServer, connect } = process.getBuiltinModule('node:http2');
  const clock = new ManualClock();
  const server = createServer();
  server.on('sessionError', () => undefined);
  const session = new Promise<ServerHttp2Session>((resolve) => server.on('session', resolve));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const client = connect(`http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`);
  client.on('error', () => undefined);
  const opened = await session;
  check(new Peer(opened, clock), clock, () => !opened.destroyed);
  opened.destroy();
  client.destroy();
  server.close();
}

describe('Peer', () => {
  it('may reset all its calls at once, and not more', async () => {
    await withPeer((peer, _clock, open) => {
      for (let call = 0; call < 20_000; call += 1) peer.abandoned();
      expect(open()).toBe(true);
      peer.abandoned();
      expect(open()).toBe(false);
      peer.abandoned();
    });
  });

  it('may reset a thousand a second for ever', async () => {
    await withPeer((peer, clock, open) => {
      for (let second = 0; second < 100; second += 1) {
        for (let call = 0; call < 1000; call += 1) peer.abandoned();
        clock.advance(1000);
      }
      expect(open()).toBe(true);
      for (let second = 0; second < 30; second += 1) {
        for (let call = 0; call < 2000; call += 1) peer.abandoned();
        clock.advance(1000);
      }
      expect(open()).toBe(false);
    });
  });
});
