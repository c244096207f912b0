import { createServer } from 'node:net';

/** Below the ports that the system gives to outgoing connections (Linux: from 32,768 on), of which suites have thousands. */
const lowest = 20_000;
const count = 12_000;

/** A port of 127.0.0.1 that nobody has, and that nobody gets by chance before a process listens there. */
export async function quietPort(): Promise<number> {
  for (;;) {
    const port = lowest + Math.floor(Math.random() * count);
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
