import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Engine, ManualClock, post, Recorder, startEngine, turns } from './engine.fixture.ts';
import { SocketClient } from './socket-client.ts';

function helloWith(headers: string): string {
  return `HTTP/1.1 200 OK\r\n${headers}content-length: 5\r\n\r\nhello`;
}

/** What the shared suite cannot ask, because undici has a clock of its own. */
describe('SocketClient: idle connections', () => {
  let clock: ManualClock;
  let client: SocketClient;
  let engine: Engine;
  let answer = helloWith('');

  beforeEach(async () => {
    clock = new ManualClock();
    client = new SocketClient(clock);
    engine = await startEngine((socket) => socket.write(answer));
  });

  afterEach(async () => {
    client.close();
    await engine.close();
  });

  async function fetch(): Promise<Recorder> {
    const recorder = new Recorder();
    client.dispatch(engine.target, post({ connectTimeout: 1_000 }), recorder);
    await recorder.over;
    return recorder;
  }

  it.each([
    { hint: '', name: 'no hint', kept: 3_900, closedBy: 4_500 },
    { hint: 'keep-alive: timeout=5\r\n', name: '5 s', kept: 3_900, closedBy: 4_500 },
    { hint: 'Keep-Alive: timeout=10, max=100\r\n', name: '10 s', kept: 8_900, closedBy: 9_500 },
    { hint: 'keep-alive: max=100, timeout=2\r\n', name: '2 s', kept: 900, closedBy: 1_500 },
    { hint: 'keep-alive: timeout=86400\r\n', name: 'a day', kept: 59_900, closedBy: 60_500 },
    { hint: 'keep-alive: nonsense\r\n', name: 'a hint that is none', kept: 3_900, closedBy: 4_500 },
  ])('are closed before the engine does, given $name', async ({ hint, kept, closedBy }) => {
    answer = helloWith(hint);
    await fetch();
    clock.advance(kept);
    await fetch();
    expect(engine.connections).toBe(1);
    clock.advance(kept);
    await turns(5);
    expect(engine.sockets[0].closed).toBe(false);
    clock.advance(closedBy - kept);
    await engine.closed(1);
  });

  it.each(['keep-alive: timeout=1\r\n', 'keep-alive: timeout=0\r\n'])('are not kept at all, given %j', async (hint) => {
    answer = helloWith(hint);
    await fetch();
    await engine.closed(1);
  });

  it('are not used when they are due, even before somebody has closed them', async () => {
    answer = helloWith('');
    await fetch();
    clock.advance(3_999);
    await fetch();
    expect(engine.connections).toBe(1);
    // A single step of the clock that skips the sweep, as a blocked event loop would.
    clock.jump(4_000);
    await fetch();
    expect(engine.connections).toBe(2);
  });

  it('are used last in, first out, so that those too many grow old', async () => {
    answer = helloWith('');
    await Promise.all([fetch(), fetch(), fetch()]);
    for (let i = 0; i < 8; i++) {
      clock.advance(500);
      await fetch();
    }
    while (engine.sockets.filter((socket) => !socket.closed).length > 1) await turns(1);
    expect((await fetch()).body).toBe('hello');
    expect(engine.connections).toBe(3);
  });

  it('leave no timer behind', async () => {
    answer = helloWith('');
    await fetch();
    expect(clock.pending).toBe(1);
    clock.advance(5_000);
    await engine.closed(1);
    expect(clock.pending).toBe(0);
  });
});
