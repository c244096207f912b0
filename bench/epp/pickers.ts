import { spawnSync, type ChildProcess } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { manifests } from '../proxy/contenders.ts';
import { proxyCore, startPinned } from '../proxy/processes.ts';

/** A picker under test, running. */
export interface Picker {
  readonly name: Name;
  readonly port: number;
  readonly child: ChildProcess;
}

export const names = ['do-nothing on grpc-js', 'hermes-router'] as const;
export type Name = (typeof names)[number];

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Starts a picker for engines at these ports; `folder` is for its files. */
export async function startPicker(name: Name, folder: string, engines: readonly number[]): Promise<Picker> {
  return name === 'hermes-router' ? startRouter(folder, engines) : startDoNothing(engines);
}

async function startDoNothing(engines: readonly number[]): Promise<Picker> {
  const endpoints = engines.map((port) => `127.0.0.1:${port}`);
  const args = [here('./do-nothing.ts'), '0', ...endpoints];
  const child = startPinned({ core: proxyCore, command: process.execPath, args });
  const { epp } = await portsOf(child, ['epp']);
  return { name: 'do-nothing on grpc-js', port: epp, child };
}

async function startRouter(folder: string, engines: readonly number[]): Promise<Picker> {
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}/engines.yaml`, manifests(engines, 'KVAware'));
  const command = here('../../bin/hermes-router');
  // The very first start strips the types of the sources, which takes memory; later ones find that done.
  spawnSync(command, ['epp', '--help']);
  const anyPort = ['--listen', '--health', '--metrics', '--admin'].flatMap((flag) => [flag, '127.0.0.1:0']);
  const args = ['epp', '--manifests', folder, '--pool-name', 'engines', '--secure-serving=false', ...anyPort];
  const child = startPinned({ core: proxyCore, command, args: [...args, '--drain-delay', '0s'] });
  const ports = await portsOf(child, ['epp', 'metrics']);
  await ready(ports.metrics, engines.length);
  return { name: 'hermes-router', port: ports.epp, child };
}

/** Reads from a picker's log where its servers listen. */
async function portsOf<Server extends string>(
  child: ChildProcess,
  servers: readonly Server[],
): Promise<Record<Server, number>> {
  if (child.stdout === null) throw new Error('the picker has no standard output');
  const found: Record<string, number> = {};
  const said: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    said.push(line);
    const { msg, server, address } = JSON.parse(line) as Record<string, string>;
    if (msg === 'listening') found[server] = Number(address.slice(address.lastIndexOf(':') + 1));
    if (servers.every((name) => name in found)) break;
  }
  if (!servers.every((name) => name in found)) throw new Error(`the picker ended: ${said.join('\n')}`);
  child.stdout.resume();
  return found;
}

async function ready(metricsPort: number, endpoints: number): Promise<void> {
  let text = '';
  for (let tries = 0; tries < 400; tries++) {
    text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
    if (Number(/^hermes_endpoints_ready\{.*\} ([0-9]+)$/m.exec(text)?.[1]) === endpoints) return;
    await sleep(50);
  }
  throw new Error(`not all ${endpoints} engines are ready after 20 seconds:\n${text}`);
}
