import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * What @dot-i/k8s-operator pulls in, and what it does when a watch ends as watches do. It is installed into a folder
 * of its own, since the project does not depend on it, and runs there against a small API server on loopback.
 */
const version = '1.3.9';
/** Milliseconds an operator has to show that it has survived: it starts watches anew after 200. */
const patience = 3000;

const folder = mkdtempSync(join(tmpdir(), 'k8s-operator-'));

/** The smallest operator: one watch on one kind. */
const operator = `
const Operator = require('@dot-i/k8s-operator').default;
const logger = { debug() {}, info() {}, warn: console.error, error: console.error };
class Example extends Operator {
  init() {
    return this.watchResource('example.io', 'v1', 'engines', async () => {});
  }
}
new Example(logger).start();
`;

interface Case {
  readonly name: string;
  readonly answer: (response: ServerResponse) => void;
}

const engine = {
  apiVersion: 'example.io/v1',
  kind: 'Engine',
  metadata: { name: 'one', namespace: 'default', resourceVersion: '1' },
};
/** What an API server sends when the resource version of a watch has been compacted away. */
const expired = {
  kind: 'Status',
  apiVersion: 'v1',
  metadata: {},
  status: 'Failure',
  message: 'too old resource version: 1 (7)',
  reason: 'Expired',
  code: 410,
};

function stream(response: ServerResponse, ...events: object[]): void {
  response.writeHead(200, { 'content-type': 'application/json' });
  for (const event of events) response.write(`${JSON.stringify(event)}\n`);
}

const added = { type: 'ADDED', object: engine };
const cases: readonly Case[] = [
  {
    name: 'the API server ends the watch, as it does every few minutes',
    answer: (response) => (stream(response, added), response.end()),
  },
  {
    name: 'an ERROR event with code 410 in the stream',
    answer: (response) => stream(response, added, { type: 'ERROR', object: expired }),
  },
  {
    name: 'the connection breaks',
    answer: (response) => {
      stream(response, added);
      setTimeout(() => response.destroy(), 200);
    },
  },
  { name: 'the API server answers 503 for a moment', answer: (response) => response.writeHead(503).end() },
];

async function run({ name, answer }: Case): Promise<void> {
  let watches = 0;
  // Only the first watch meets the trouble; later ones are kept open, as by a server that is well again.
  const server = createServer((_request, response) => {
    watches += 1;
    if (watches === 1) answer(response);
    else stream(response, added);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server listens on no port');
  const kubeconfig = join(folder, 'kubeconfig.json');
  writeFileSync(kubeconfig, JSON.stringify(configFor(`http://127.0.0.1:${address.port}`)));
  const child = spawn(process.execPath, ['--no-deprecation', 'operator.cjs'], {
    cwd: folder,
    env: { ...process.env, KUBECONFIG: kubeconfig },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let words = '';
  child.stderr.on('data', (text) => (words += String(text)));
  const exit = once(child, 'exit').then(([code]) => Number(code));
  const outcome = await Promise.race([exit, sleep(patience).then(() => null)]);
  child.kill();
  await exit;
  server.closeAllConnections();
  server.close();
  const why = /^(?:Error: .*|watch on .*)$/m.exec(words)?.[0].slice(0, 100) ?? '';
  const end = outcome === null ? `alive, ${watches} watches` : `the process is dead, exit code ${outcome}: ${why}`;
  console.log(`- ${name}: ${end}`);
}

function configFor(server: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster: { server } }],
    users: [{ name: 'u', user: {} }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  };
}

function versionOf(name: string): string {
  const text = readFileSync(join(folder, 'node_modules', name, 'package.json'), 'utf8');
  return /"version": *"([^"]+)"/.exec(text)?.[1] ?? 'unknown';
}

try {
  writeFileSync(join(folder, 'package.json'), '{"private":true}');
  writeFileSync(join(folder, 'operator.cjs'), operator);
  const npm = ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error'];
  const installed = spawnSync('npm', [...npm, `@dot-i/k8s-operator@${version}`], { cwd: folder, encoding: 'utf8' });
  if (installed.status !== 0) throw new Error(`npm install failed: ${installed.stderr}`);
  console.log(`@dot-i/k8s-operator ${version} brings @kubernetes/client-node ${versionOf('@kubernetes/client-node')}`);
  console.log(`and with it request ${versionOf('request')}, deprecated since February 2020`);
  for (const one of cases) await run(one);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
