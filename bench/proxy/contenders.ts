import { spawnSync, type ChildProcess } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { startProxy as startNginx } from './nginx.ts';
import { freePorts, listening, proxyCore, startPinned } from './processes.ts';

/** A proxy under test, running. */
export interface Contender {
  readonly name: string;
  readonly port: number;
  readonly child: ChildProcess;
}

export const names = ['nginx', 'http-proxy', 'hermes-router'] as const;
export type Name = (typeof names)[number];

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Starts a contender before these engines; `folder` is for its files. */
export async function startContender(name: Name, folder: string, engines: readonly number[]): Promise<Contender> {
  if (name === 'hermes-router') return startRouter(join(folder, 'manifests'), engines);
  const [port] = await freePorts(1);
  const child =
    name === 'nginx'
      ? await startNginx(proxyCore, join(folder, 'nginx'), port, engines)
      : startPinned({
          core: proxyCore,
          command: process.execPath,
          args: [here('./http-proxy.ts'), String(port), ...engines.map(String)],
        });
  await listening(port);
  return { name, port, child };
}

/** Engines at these ports of loopback, and a policy of that strategy for them. */
export function manifests(engines: readonly number[], strategy: string): string {
  return `
apiVersion: hermes-router.io/v1alpha1
kind: BackendGroup
metadata: {name: engines}
spec:
  discovery:
    type: Static
    static:
      endpoints:
${engines.map((port, i) => `        - {name: engine-${i}, address: "127.0.0.1:${port}"}`).join('\n')}
---
apiVersion: hermes-router.io/v1alpha1
kind: RoutingPolicy
metadata: {name: engines}
spec:
  strategy: {type: ${strategy}}
  backendRefs: [{name: engines}]
`;
}

function startRouter(folder: string, engines: readonly number[]): Promise<Contender> {
  return startHermes({ command: 'serve', name: 'hermes-router', folder, text: manifests(engines, 'Auto') });
}

/** A command of ours that takes requests, and the manifests for it. */
export interface Hermes {
  readonly command: 'serve' | 'pd-proxy';
  readonly name: string;
  readonly folder: string;
  readonly text: string;
  /** Folder of another checkout; this one where it is left out. */
  readonly root?: string;
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export async function startHermes(hermes: Hermes): Promise<Contender> {
  const { command: name, folder, text, root = here('../..'), flags = [], env = {} } = hermes;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'engines.yaml'), text);
  const command = join(root, 'bin/hermes-router');
  // The very first start strips the types of the sources, which takes memory; later ones find that done.
  spawnSync(command, [name, '--help']);
  const anyPort = '127.0.0.1:0';
  const args = [
    name,
    '--manifests',
    folder,
    '--listen',
    anyPort,
    '--admin',
    anyPort,
    '--metrics',
    anyPort,
    '--drain-delay',
    '0s',
    ...flags,
  ];
  const child = startPinned({ core: proxyCore, command, args, env });
  const server = name === 'serve' ? 'proxy' : name;
  const ports = await portsOf(child, [server, 'metrics']);
  await ready(ports.metrics);
  return { name: hermes.name, port: ports[server], child };
}

/** Reads from the router's log where its servers listen. */
async function portsOf<Server extends string>(
  child: ChildProcess,
  servers: readonly Server[],
): Promise<Record<Server, number>> {
  if (child.stdout === null) throw new Error('the router has no standard output');
  const found: Record<string, number> = {};
  for await (const line of createInterface({ input: child.stdout })) {
    const { msg, server, address } = JSON.parse(line) as Record<string, string>;
    if (msg === 'listening') found[server] = Number(address.slice(address.lastIndexOf(':') + 1));
    if (servers.every((name) => name in found)) break;
  }
  child.stdout.resume();
  return found;
}

async function ready(metricsPort: number): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    const { status } = await fetch(`http://127.0.0.1:${metricsPort}/readyz`);
    if (status === 200) return;
    await sleep(50);
  }
  throw new Error('the router is not ready after ten seconds');
}
