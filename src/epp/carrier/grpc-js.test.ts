// The carrier and an independent client of gRPC, over TCP.
import { once } from 'node:events';
import { Client, credentials, Metadata, status, type ClientDuplexStream, type StatusObject } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { echo, processPath, Rig, type Behaviour } from './carrier.fixture.ts';
import { GrpcStatus, type TlsMaterial } from './carrier.ts';
import { selfSigned } from './self-signed.ts';

let rig: Rig;
let client: Client;
afterEach(async () => {
  client.close();
  await rig.close();
});

async function start(behaviour: Behaviour, tls: TlsMaterial | null = null, options = {}): Promise<void> {
  rig = await new Rig(behaviour, tls).listen();
  const secret = tls === null ? credentials.createInsecure() : credentials.createSsl(Buffer.from(tls.cert));
  client = new Client(`127.0.0.1:${rig.port}`, secret, { 'grpc.ssl_target_name_override': 'localhost', ...options });
}

const same = (bytes: Buffer): Buffer => bytes;

function call(options = {}): ClientDuplexStream<Buffer, Buffer> {
  const stream = client.makeBidiStreamRequest(processPath, same, same, new Metadata(), options);
  // The status comes as an event of its own as well.
  stream.on('error', () => undefined);
  return stream;
}

function statusOf(stream: ClientDuplexStream<Buffer, Buffer>): Promise<StatusObject> {
  return new Promise((resolve) => stream.on('status', resolve));
}

describe('grpc-js', () => {
  it.each([
    ['plain', null],
    ['TLS', selfSigned(new Date())],
  ])('talks both ways (%s)', async (_name, tls) => {
    await start(echo, tls);
    const stream = call();
    const got: Buffer[] = [];
    stream.on('data', (message: Buffer) => got.push(message));
    const messages = [Buffer.from('one'), Buffer.alloc(0), Buffer.alloc(1024 * 1024, 'x'), Buffer.from('four')];
    for (const message of messages) stream.write(message);
    stream.end();
    expect((await statusOf(stream)).code).toBe(status.OK);
    expect(got.map((message) => message.length)).toEqual([3, 0, 1024 * 1024, 4]);
    expect(got[2]?.equals(messages[2] ?? Buffer.alloc(0))).toBe(true);
  });

  it('gets a status with its message, with messages before it or without', async () => {
    await start({
      onMessage: (call, message) => {
        if (message.length > 0) call.stream.send(Buffer.from(message));
        call.stream.end(GrpcStatus.unavailable, 'kein Endpunkt für 100 %');
      },
    });
    for (const message of ['', 'x']) {
      const stream = call();
      let got = 0;
      stream.on('data', () => (got += 1));
      stream.write(Buffer.from(message));
      const { code, details } = await statusOf(stream);
      expect([code, details, got]).toEqual([status.UNAVAILABLE, 'kein Endpunkt für 100 %', message.length]);
    }
  });

  it('is told of methods that are not there', async () => {
    await start(echo);
    const error = await new Promise<{ code?: number } | null>((resolve) => {
      client.makeUnaryRequest(
        '/envoy.service.ext_proc.v3.ExternalProcessor/Other',
        same,
        same,
        Buffer.alloc(0),
        resolve,
      );
    });
    expect(error?.code).toBe(status.UNIMPLEMENTED);
  });

  it('asks after our health', async () => {
    await start(echo);
    const health = (service: string): Promise<{ code: number; answer: number | undefined }> =>
      new Promise((resolve) => {
        const request = Buffer.concat([Buffer.of(0x0a, service.length), Buffer.from(service)]);
        client.makeUnaryRequest<Buffer, Buffer>(
          '/grpc.health.v1.Health/Check',
          same,
          same,
          request,
          (error, response) => {
            resolve({ code: error?.code ?? status.OK, answer: response?.[1] });
          },
        );
      });
    expect(await health('readiness')).toEqual({ code: status.OK, answer: 1 });
    expect(await health('other')).toEqual({ code: status.NOT_FOUND, answer: undefined });
  });

  it('compressed messages are refused', async () => {
    await start(echo, null, { 'grpc.default_compression_algorithm': 2 });
    const stream = call();
    stream.resume();
    stream.write(Buffer.alloc(10_000));
    expect((await statusOf(stream)).code).toBe(status.UNIMPLEMENTED);
  });

  it('cancels, and runs into its deadline', async () => {
    await start({});
    const cancelled = call();
    cancelled.write(Buffer.from('x'));
    cancelled.resume();
    while (rig.calls[0]?.messages.length !== 1) await new Promise((resolve) => setImmediate(resolve));
    cancelled.cancel();
    expect((await statusOf(cancelled)).code).toBe(status.CANCELLED);
    const late = call({ deadline: Date.now() + 50 });
    late.write(Buffer.from('x'));
    late.resume();
    expect((await statusOf(late)).code).toBe(status.DEADLINE_EXCEEDED);
    await Promise.all(rig.calls.map((call) => call.closed));
    expect(rig.calls.map((call) => call.closes)).toEqual([[true], [true]]);
  });

  it('hears of a drain, and ends what it has', async () => {
    await start(echo);
    const stream = call();
    const got: string[] = [];
    stream.on('data', (message: Buffer) => got.push(message.toString()));
    stream.write(Buffer.from('1'));
    await once(stream, 'data');
    const drained = rig.carrier.drain(60_000);
    stream.write(Buffer.from('2'));
    stream.end();
    expect((await statusOf(stream)).code).toBe(status.OK);
    expect([got, await drained]).toEqual([['1', '2'], 0]);
  });
});
