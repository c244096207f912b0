import fc from 'fast-check';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ManualClock } from '../../../test/fixtures/manual-clock.ts';
import { addressOf, createProxyServer, type ProxyServer } from '../server.ts';
import { ClientConnection } from './connection.ts';
import { invalidRequests, validRequests } from './requests.fixture.ts';

/**
 * Ours beside the parser of node:http (llhttp), on loopback: of any bytes ours takes the same requests as Node's, or
 * fewer. What is refused by Node and taken by ours is here and nowhere else; what ours is stricter about is marked
 * `node: 'accepts'` in the table of requests.
 */
const takenByOursOnly: readonly { readonly name: string; readonly is: (bytes: string) => boolean }[] = [
  // Answered by 405: a method is a token, and which ones there are is the front door's to say.
  { name: 'methods that llhttp does not know', is: (bytes) => methodsOf(bytes).some((method) => !nodeMethods.has(method)) },
  // The grammar inside an extension; its characters and its end are checked.
  { name: 'chunk extensions that are no list of names and values', is: (bytes) => /(?:^|\n)[0-9a-f]+;/i.test(bytes) },
  // node:http stops reading there, though nobody upgrades; here the upgrade is passed over.
  { name: 'what follows a request to upgrade', is: (bytes) => /upgrade/i.test(bytes) },
]; // prettier-ignore

const nodeMethods = new Set(process.getBuiltinModule('node:http').METHODS);

/** What stands at the beginning of lines where a request's method might. */
function methodsOf(bytes: string): string[] {
  return [...bytes.matchAll(/([^\s]*) [^ ]* HTTP\/1\.[01]\r\n/g)].map((found) => found[1]);
}

/** Requests that a server has taken whole, by the client's port. */
type Taken = Map<number, string[]>;

let node: Server;
let ours: ProxyServer;
const takenByNode: Taken = new Map();
const takenByOurs: Taken = new Map();

function note(taken: Taken, port: number, ...[method, target, headers, body]: [string, string, readonly string[], Buffer]): void {
  const list = taken.get(port) ?? [];
  list.push(JSON.stringify([method, target, headers, body.toString('latin1')]));
  taken.set(port, list);
} // prettier-ignore

beforeAll(async () => {
  node = createServer({ maxHeaderSize: 16 * 1024 }, (request, response) => {
    const pieces: Buffer[] = [];
    const port = request.socket.remotePort ?? 0;
    request.on('data', (piece: Buffer) => void pieces.push(piece));
    request.on('end', () => {
      note(takenByNode, port, request.method ?? '', request.url ?? '', request.rawHeaders, Buffer.concat(pieces));
      response.end();
    });
  }).listen(0, '127.0.0.1');
  ours = createProxyServer({ maxConnections: 0, clock: new ManualClock() }, (request, response) => {
    const pieces: Buffer[] = [];
    const { method, target, headers } = request.head;
    if (!(request instanceof ClientConnection)) throw new Error('a request is its connection');
    const port = request.socket.remotePort ?? 0;
    request.receive({
      onBody: (bytes, start, end) => void pieces.push(Buffer.from(bytes.subarray(start, end))),
      onEnd() {
        note(takenByOurs, port, method, target, headers, Buffer.concat(pieces));
        response.writeHead(200, ['content-length', '0']);
        response.end();
      },
      onAbort: () => undefined,
    });
  }).listen(0, '127.0.0.1');
  await Promise.all([once(node, 'listening'), once(ours, 'listening')]);
});

afterAll(() => {
  node.close().closeAllConnections();
  ours.close().closeAllConnections();
});

async function taken(server: Server | ProxyServer, by: Taken, bytes: Buffer): Promise<string[]> {
  const [host, port] = addressOf(server).split(':');
  const socket = connect({ host, port: Number(port) });
  socket.on('error', () => undefined).resume();
  await once(socket, 'connect');
  const own = socket.localPort ?? 0;
  by.delete(own);
  socket.end(bytes);
  await new Promise((resolve) => socket.on('close', resolve));
  return by.get(own) ?? [];
}

async function both(text: string): Promise<{ node: string[]; ours: string[] }> {
  const bytes = Buffer.from(text, 'latin1');
  const [byNode, byOurs] = await Promise.all([taken(node, takenByNode, bytes), taken(ours, takenByOurs, bytes)]);
  return { node: byNode, ours: byOurs };
}

describe('beside llhttp', () => {
  it.each(validRequests)('takes $name as it does', async ({ bytes, node: verdict }) => {
    const got = await both(bytes);
    expect(got.ours).toHaveLength(1);
    expect(got.node).toEqual(verdict === 'refuses' ? [] : got.ours);
  });

  it.each(invalidRequests)('refuses $name, as the table says', async ({ bytes, node: verdict }) => {
    const got = await both(bytes);
    expect(got.ours).toEqual([]);
    expect(got.node).toHaveLength(verdict === 'accepts' ? 1 : 0);
  });

  it('takes no request that it does not take, and none otherwise than it does, whatever is changed', async () => {
    const short = ({ bytes }: { bytes: string }): boolean => bytes.length < 1000;
    // Mostly good ones: behind a bad one nothing is compared.
    const message = fc.oneof(
      { weight: 6, arbitrary: fc.constantFrom(...validRequests.filter(short)) },
      { weight: 1, arbitrary: fc.constantFrom(...invalidRequests.filter(short)) },
    );
    const runs = Number(process.env.HERMES_FUZZ_RUNS ?? 1500);
    const telling = ['\r\n', '\n', '\r', ' ', '\t', ':', ',', ';', '0', '5', '\0', '\xff', 'content-length: 5\r\n', 'transfer-encoding: chunked\r\n', 'host: y\r\n', '\r\n\r\n', '0\r\n\r\n']; // prettier-ignore
    const insert = fc.oneof(
      fc.constantFrom(...telling),
      fc.uint8Array({ maxLength: 3 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
    );
    const change = fc.record({ at: fc.nat(600), remove: fc.nat(4), insert });
    const messages = fc.array(message, { minLength: 1, maxLength: 3 });
    let compared = 0;
    await fc.assert(
      fc.asyncProperty(messages, fc.array(change, { maxLength: 3 }), async (chosen, changes) => {
        let text = chosen.map(({ bytes }) => bytes).join('');
        for (const { at, remove, insert: put } of changes) {
          const start = at % (text.length + 1);
          text = text.slice(0, start) + put + text.slice(start + remove);
        }
        if (takenByOursOnly.some(({ is }) => is(text))) return;
        const got = await both(text);
        compared += got.ours.length;
        expect(got.node.slice(0, got.ours.length)).toEqual(got.ours);
      }),
      { numRuns: runs },
    );
    // Where nothing is taken, nothing has been compared.
    expect(compared).toBeGreaterThan(runs / 4);
  }, 120_000);
});
