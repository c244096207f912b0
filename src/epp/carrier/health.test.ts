import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ClientCall, echo, Rig } from './carrier.fixture.ts';
import { createCarrier } from './server.ts';

const check = { ':path': '/grpc.health.v1.Health/Check' };
const watch = { ':path': '/grpc.health.v1.Health/Watch' };

let rig: Rig;
beforeEach(async () => {
  rig = await new Rig(echo).listen();
});
afterEach(() => rig.close());

/** A HealthCheckRequest. */
function request(service: string): Buffer {
  const name = Buffer.from(service);
  return name.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.of(0x0a, name.length), name]);
}

/** The statuses in HealthCheckResponses. */
function statuses(messages: readonly Buffer[]): (number | undefined)[] {
  return messages.map((message) => (message[0] === 8 && message.length === 2 ? message[1] : undefined));
}

async function answerTo(service: string): Promise<{ status: string; answers: (number | undefined)[] }> {
  const call = new ClientCall(rig.connect(), check).send(request(service));
  call.stream.end();
  await call.closed;
  return { status: call.status, answers: statuses(call.messages) };
}

describe('Check', () => {
  const known = ['', 'liveness', 'readiness', 'envoy.service.ext_proc.v3.ExternalProcessor', 'inference-extension'];

  it.each(known)('of "%s" says SERVING or NOT_SERVING', async (service) => {
    expect(await answerTo(service)).toEqual({ status: '0', answers: [1] });
    rig.serving = false;
    expect(await answerTo(service)).toEqual({ status: '0', answers: [service === 'liveness' ? 1 : 2] });
  });

  it('of another service is NOT_FOUND', async () => {
    expect(await answerTo('other')).toEqual({ status: '5', answers: [] });
  });

  it('without a request or with a broken one is refused', async () => {
    const none = new ClientCall(rig.connect(), check);
    none.stream.end();
    await none.closed;
    const broken = new ClientCall(rig.connect(), check).send(Buffer.of(0x0a, 9));
    broken.stream.end();
    await broken.closed;
    expect([none.status, broken.status]).toEqual(['3', '3']);
    expect(rig.faults).toEqual([]);
  });
});

describe('Watch', () => {
  it('says how a service is, and again after every change, but not twice the same', async () => {
    const call = new ClientCall(rig.connect(), watch).send(request('readiness'));
    await call.received(1);
    rig.setServing(false);
    await call.received(2);
    rig.setServing(false);
    rig.setServing(true);
    expect(statuses(await call.received(3))).toEqual([1, 2, 1]);
    expect(rig.carrier.calls).toBe(0);
    call.stream.close();
    await call.closed;
  });

  it('also when its client has ended its side, as clients of such calls do', async () => {
    const call = new ClientCall(rig.connect(), watch).send(request(''));
    call.stream.end();
    await call.received(1);
    rig.setServing(false);
    expect(statuses(await call.received(2))).toEqual([1, 2]);
  });

  it('of a service that nobody knows says so and goes on', async () => {
    const call = new ClientCall(rig.connect(), watch).send(request('other'));
    expect(statuses(await call.received(1))).toEqual([3]);
    expect(call.stream.closed).toBe(false);
  });

  it('ends with the drain, which would wait for it otherwise', async () => {
    const session = rig.connect();
    const call = new ClientCall(session).send(Buffer.from('x'));
    await call.received(1);
    const watcher = new ClientCall(session, watch).send(request('liveness'));
    await watcher.received(1);
    const drained = rig.carrier.drain(60_000);
    await watcher.closed;
    expect([statuses(watcher.messages), watcher.status]).toEqual([[1, 2], '14']);
    call.stream.end();
    expect(await drained).toBe(0);
  });

  it('of clients that have gone is forgotten', async () => {
    const call = new ClientCall(rig.connect(), watch).send(request(''));
    await call.received(1);
    call.stream.close();
    await call.closed;
    const other = new ClientCall(rig.connect(), watch).send(request(''));
    await other.received(1);
    rig.setServing(false);
    await other.received(2);
    expect([statuses(call.messages), statuses(other.messages), rig.faults]).toEqual([[1], [1, 2], []]);
  });
});

it('a port for health alone knows no calls of Process', async () => {
  const carrier = createCarrier({
    accept: null,
    tls: null,
    clock: rig.clock,
    health: { serving: () => true, onChange: () => () => undefined },
    onFault: (fault) => rig.faults.push(fault),
  });
  const { port } = await carrier.listen('127.0.0.1', 0);
  const ours = rig.port;
  rig.port = port;
  const call = new ClientCall(rig.connect()).send(Buffer.from('x'));
  await call.closed;
  expect([call.status, (await answerTo('')).answers]).toEqual(['12', [1]]);
  rig.port = ours;
  const session = rig.connect();
  await once(session, 'remoteSettings');
  await carrier.drain(0);
});
