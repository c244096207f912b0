// Real clients behind a line that cuts what they and we say anywhere.
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { Client, credentials, Metadata, type StatusObject } from '@grpc/grpc-js';
import { afterEach, expect, it } from 'vitest';
import fc from 'fast-check';
import { ClientCall, echo, processPath, Rig } from './carrier.fixture.ts';

let rig: Rig;
let line: Line;
afterEach(async () => {
  line.close();
  await rig.close();
});

/** Passes on bytes in pieces of the sizes that it is told, in turn, each in a turn of its own. */
class Line {
  readonly server: Server;
  /** What clients have said. */
  readonly said: Buffer[] = [];
  sizes: readonly number[] = [100_000];
  private turn = 0;
  private readonly sockets: Socket[] = [];

  constructor(port: number) {
    this.server = createServer((client) => {
      const server = connect(port, '127.0.0.1');
      this.sockets.push(client, server);
      client.on('data', (bytes: Buffer) => this.said.push(bytes));
      this.join(client, server);
      this.join(server, client);
    });
  }

  async listen(): Promise<this> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return this;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  close(): void {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
  }

  private join(from: Socket, to: Socket): void {
    to.setNoDelay();
    from.on('error', () => to.destroy());
    from.on('data', (bytes: Buffer) => {
      from.pause();
      void this.pass(bytes, to).then(() => from.resume());
    });
    from.on('end', () => to.end());
  }

  private async pass(bytes: Buffer, to: Socket): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const size = this.sizes[(this.turn += 1) % this.sizes.length] ?? 1;
      to.write(bytes.subarray(at, at + size));
      at += size;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

async function start(): Promise<void> {
  rig = await new Rig(echo).listen();
  line = await new Line(rig.port).listen();
}

const same = (bytes: Buffer): Buffer => bytes;

it(
  'grpc-js gets back what it sends, whatever its fields, its messages and the cuts',
  { timeout: 120_000 },
  async () => {
    await start();
    const client = new Client(`127.0.0.1:${line.port}`, credentials.createInsecure());
    const size = fc.oneof(fc.nat(40), fc.nat(20_000), fc.nat(200_000));
    // Few pieces, however long the messages are.
    const cuts = fc.array(fc.oneof(fc.integer({ min: 200, max: 9000 }), fc.constantFrom(1, 5, 9, 14, 16_393)), {
      minLength: 3,
      maxLength: 12,
    });
    const fields = fc.dictionary(fc.stringMatching(/^x-[a-z0-9_.-]{1,20}$/), fc.stringMatching(/^[!-~]{0,300}$/));
    await fc.assert(
      fc.asyncProperty(fc.array(size, { maxLength: 5 }), fields, cuts, async (sizes, fields, cuts) => {
        line.sizes = [...cuts, 9000];
        const metadata = new Metadata();
        for (const [name, value] of Object.entries(fields)) metadata.set(name, value);
        const stream = client.makeBidiStreamRequest(processPath, same, same, metadata);
        const got: Buffer[] = [];
        stream.on('error', () => undefined);
        stream.on('data', (message: Buffer) => got.push(message));
        const status = new Promise<StatusObject>((resolve) => stream.on('status', resolve));
        const sent = sizes.map((size, index) => Buffer.alloc(size, index + 1));
        for (const message of sent) stream.write(message);
        stream.end();
        expect((await status).code).toBe(0);
        expect(got.length).toBe(sent.length);
        expect(got.every((message, index) => message.equals(sent[index] ?? Buffer.of(0)))).toBe(true);
      }),
      { numRuns: 60 },
    );
    client.close();
    await Promise.all(rig.calls.map((call) => call.closed));
    expect([rig.faults, rig.calls.filter(({ closes }) => closes.length !== 1)]).toEqual([[], []]);
  },
);

it('what node:http2 says on two calls is understood alike wherever it is cut', { timeout: 60_000 }, async () => {
  await start();
  const port = rig.port;
  rig.port = line.port;
  const session = rig.connect();
  const first = new ClientCall(session, { 'x-a': 'one' }).send(Buffer.from('one'), Buffer.alloc(0));
  await first.received(2);
  const second = new ClientCall(session, { 'x-a': 'one' }).send(Buffer.from('three'));
  await second.received(1);
  first.stream.end();
  await first.closed;
  const said = Buffer.concat(line.said);
  second.stream.end();
  await second.closed;
  rig.port = port;
  const heard = (): string[] => rig.calls.map(({ messages, halfCloses }) => `${messages.join()} ${halfCloses}`);
  const whole = ['one, 1', 'three 1'];
  expect(heard()).toEqual(whole);
  for (let cut = 1; cut < said.length; cut += 1) {
    rig.calls.length = 0;
    const socket = await rig.tcp();
    const closed = once(socket, 'close');
    socket.resume();
    socket.write(said.subarray(0, cut));
    await new Promise((resolve) => setImmediate(resolve));
    socket.end(said.subarray(cut));
    await closed;
    expect(heard()).toEqual(['one, 1', 'three 0']);
    expect(rig.calls.map(({ closes }) => closes)).toEqual([[false], [true]]);
  }
});
