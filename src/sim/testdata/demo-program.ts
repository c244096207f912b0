import { readFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { runSimEngine } from '../sim-engine.ts';

// Stands in for hermes-router: real engines, and for `serve` the simplest forwarder that can be.
const [command, ...args] = process.argv.slice(2);
const io = {
  out: (line: string) => process.stdout.write(`${line}\n`),
  err: (line: string) => process.stderr.write(`${line}\n`),
};

if (command === 'sim-engine') {
  process.exitCode = await runSimEngine(args, io);
} else {
  const folder = args[0].replace('--manifests=', '');
  const targets = [...readFileSync(`${folder}/demo.yaml`, 'utf8').matchAll(/address: "(.*?)"/g)].map(
    ([, address]) => address,
  );
  let turn = 0;
  const server = createServer((incoming, outgoing) => {
    if (incoming.method === 'GET') {
      outgoing.end();
      return;
    }
    const [host, port] = targets[turn++ % targets.length].split(':');
    const { method, url, headers } = incoming;
    const forward = request({ host, port, method, path: url, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    incoming.pipe(forward);
  });
  server.listen(0, '127.0.0.1', () => {
    const bound = server.address();
    const address = `127.0.0.1:${typeof bound === 'object' && bound !== null ? bound.port : 0}`;
    for (const name of ['proxy', 'metrics'])
      io.out(JSON.stringify({ level: 'info', msg: 'listening', server: name, address }));
  });
}
