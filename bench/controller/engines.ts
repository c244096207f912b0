import { createServer } from 'node:http';

/** A process of tiny engines on ports of loopback: as many as the first argument says; their ports are sent to the parent. */
const count = Number(process.argv[2]);

const metrics = ['num_requests_waiting 0', 'num_requests_running 0', 'kv_cache_usage_perc 0.25']
  .map((sample) => sample.replace(' ', '{model_name="m"} '))
  .map((sample) => `vllm:${sample}\n`)
  .join('');

const models = JSON.stringify({ object: 'list', data: [{ id: 'm', object: 'model' }] });
const answers: Readonly<Record<string, string>> = { '/metrics': metrics, '/v1/models': models };

const ports: number[] = [];
for (let i = 0; i < count; i++) {
  const server = createServer((request, response) => response.end(answers[request.url ?? ''] ?? '{}'));
  // The router keeps its connections for as long as it likes.
  server.keepAliveTimeout = 600_000;
  server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the server listens on no port');
    ports.push(address.port);
    if (ports.length === count) process.send?.(ports);
  });
}
process.on('disconnect', () => process.exit(0));
