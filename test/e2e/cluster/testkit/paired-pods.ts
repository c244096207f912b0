import { afterAll, beforeAll } from 'vitest';
import { startSimEngine, type SimEngine } from '../../../../src/sim/server.ts';
import { closeAll } from '../../testkit/sim.ts';
import type { Cluster } from '../kit/index.ts';
import { Pods } from './pods.ts';

const roles = { p: 'prefill', d: 'decode', l: 'leader' } as const;

/** Simulated engines with NIXL, all at one port on loopback addresses of their own, named as in `a-p0`: group, role, number. */
export class PairedFleet {
  port = 0;
  private readonly engines = new Map<string, SimEngine>();
  private readonly names: readonly string[];

  constructor(names: readonly string[]) {
    this.names = names;
  }

  async start(): Promise<void> {
    for (const name of this.names) {
      const place = { host: this.ip(name), port: this.port };
      const engine = await startSimEngine({ models: ['m'], ...place, kvTransfer: { connector: 'nixl' } });
      this.port = Number(engine.address.split(':')[1]);
      this.engines.set(name, engine);
    }
  }

  /** Of an engine; of another name an address where nobody is yet. */
  ip(name: string): string {
    const known = this.names.indexOf(name);
    if (known >= 0) return `127.0.3.${known + 1}`;
    return `127.0.4.${1 + ([...name].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 7) % 250)}`;
  }

  address(name: string): string {
    return `${this.ip(name)}:${this.port}`;
  }

  engine(name: string): SimEngine {
    const found = this.engines.get(name);
    if (found === undefined) throw new Error(`no engine ${name}`);
    return found;
  }

  /** Requests that each engine has had so far. */
  requests(...names: readonly string[]): number[] {
    return names.map((name) => this.engine(name).state().requests);
  }

  close(): Promise<void> {
    return closeAll([...this.engines.values()]);
  }
}

/** A fleet for all tests of a suite, which must be called at its top; cluster and engines are given back at the end. */
export function fleetOn(cluster: Cluster, names: readonly string[]): PairedFleet {
  const fleet = new PairedFleet(names);
  beforeAll(async () => {
    await cluster.installCrds();
    await fleet.start();
  });
  afterAll(async () => {
    await fleet.close();
    await cluster.close();
  });
  return fleet;
}

/** The Pods of a fleet in a namespace, with the labels of pairs. */
export class PairedPods {
  private readonly pods: Pods;
  private readonly fleet: PairedFleet;

  constructor(cluster: Cluster, namespace: string, fleet: PairedFleet) {
    this.pods = new Pods(cluster, namespace);
    this.fleet = fleet;
  }

  async run(...names: readonly string[]): Promise<void> {
    for (const name of names) {
      const [group, [role]] = name.split('-');
      const labels = {
        app: 'engine',
        'openfuyao.com/pdRole': roleOf(role),
        'openfuyao.com/pdGroupID': group,
      };
      await this.pods.run({ name, ip: this.fleet.ip(name), port: this.fleet.port, labels });
    }
  }

  /** A Pod that nobody has labelled as a part of a pair. */
  runBare(name: string, ip: string): Promise<void> {
    return this.pods.run({ name, ip, port: this.fleet.port });
  }

  async remove(...names: readonly string[]): Promise<void> {
    for (const name of names) await this.pods.remove(name);
  }

  terminate(name: string): Promise<unknown> {
    return this.pods.terminate(name);
  }
}

function roleOf(letter: string): string {
  if (letter === 'p' || letter === 'd' || letter === 'l') return roles[letter];
  throw new Error(`no role ${letter}`);
}
