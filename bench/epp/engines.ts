// engines.ts COUNT: so many engines in one process, which answer probes and scrapes; sends their ports to its parent.
import { createServer } from 'node:http';
import { metricsBody, modelsBody } from '../proxy/payloads.ts';

const count = Number(process.argv[2]);
const answers: Readonly<Record<string, string>> = { '/metrics': metricsBody, '/v1/models': modelsBody };

const ports = await Promise.all(
  Array.from({ length: count }, async () => {
    const server = createServer((request, response) => {
      const body = answers[request.url ?? ''] ?? '';
      response.writeHead(200, { 'content-length': body.length }).end(body);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the server listens on no port');
    return address.port;
  }),
);
process.send?.(ports);
