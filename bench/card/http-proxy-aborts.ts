import { once } from 'node:events';
import { Agent, createServer, request, type IncomingMessage, type Server } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import httpProxy from 'http-proxy';

/**
 * What http-proxy 1.18.1 does when one side goes away in the middle of a stream, with a keep-alive agent as its README
 * has it: whether the engine hears of clients that leave, and whether a client hears of an engine that dies.
 */
const clients = 20;
/** Long enough for any close on loopback to have been seen, in milliseconds. */
const patience = 3000;

/** Streams that the engine is still sending. */
let open = 0;
let last: IncomingMessage | null = null;

const engine = createServer((incoming, response) => {
  open += 1;
  last = incoming;
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const timer = setInterval(() => response.write('data: {"choices":[]}\n\n'), 20);
  response.on('close', () => {
    open -= 1;
    clearInterval(timer);
  });
});
const enginePort = await listen(engine);

const proxy = httpProxy.createProxyServer({ agent: new Agent({ keepAlive: true }) });
proxy.on('error', (_error, _request, response) => response.destroy());
const front = createServer((incoming, response) =>
  proxy.web(incoming, response, { target: { host: '127.0.0.1', port: enginePort } }),
);
const port = await listen(front);

async function listen(server: Server): Promise<number> {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server listens on no port');
  return address.port;
}

/** A client that leaves as soon as the first event has come. */
async function leave(): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  socket.write('POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}');
  await once(socket, 'data');
  socket.destroy();
}

/** What a client sees when the engine's connection is cut in mid-stream. */
async function engineDies(): Promise<string> {
  const outgoing = request({ port, host: '127.0.0.1', method: 'POST', path: '/v1/chat/completions' }).end('{}');
  const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
  const seen = new Promise<string>((resolve) => {
    answer.on('end', () => resolve('a clean end'));
    answer.on('error', () => resolve('a broken connection'));
  });
  answer.resume();
  await once(answer, 'data');
  last?.socket.destroy();
  return Promise.race([seen, sleep(patience).then(() => `nothing: it still waits after ${patience} ms`)]);
}

await Promise.all(Array.from({ length: clients }, leave));
await sleep(patience);
console.log(`${clients} clients left in mid-stream; ${patience} ms later the engine still sends ${open} streams`);
console.log(`an engine died in mid-stream; its client sees ${await engineDies()}`);
process.exit(0);
