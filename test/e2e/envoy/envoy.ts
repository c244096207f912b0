import { execFileSync, spawn, type ChildProcessByStdio } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { get } from '../testkit/router.ts';
import { until } from '../testkit/until.ts';
import { envoyConfig, type EnvoyOptions } from './config.ts';

const cache = join(import.meta.dirname, '../../../.cache/envoy');

/** The program, installed into .cache once. */
function program(): string {
  execFileSync(join(import.meta.dirname, 'install.sh'), [cache], { stdio: ['ignore', 'ignore', 'inherit'] });
  return join(cache, 'envoy');
}

/** A real Envoy on loopback before a picker and engines. */
export class Envoy {
  /** `host:port` for clients. */
  address = '';
  admin = '';
  private readonly folder = mkdtempSync(join(tmpdir(), 'hermes-envoy-'));
  private readonly child: ChildProcessByStdio<null, null, Readable>;
  private readonly exited: Promise<unknown>;
  private log = '';

  private constructor(options: EnvoyOptions) {
    const [config, admin] = ['envoy.json', 'admin'].map((name) => join(this.folder, name));
    writeFileSync(config, JSON.stringify(envoyConfig(options)));
    // Without hot restart there is no shared memory that another Envoy of this machine could want, so no --base-id.
    const flags = ['--disable-hot-restart', '--log-level', 'warn', '--concurrency', String(options.concurrency ?? 1)];
    this.child = spawn(program(), ['--config-path', config, '--admin-address-path', admin, ...flags], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.child.stderr.setEncoding('utf8').on('data', (text: string) => (this.log += text));
    this.exited = new Promise((resolve) => this.child.once('close', resolve));
  }

  static async start(options: EnvoyOptions): Promise<Envoy> {
    const envoy = new Envoy(options);
    envoy.admin = await until('Envoy says where its admin listens', () => envoy.adminAddress());
    envoy.address = await until('Envoy listens', () => envoy.listenAddress());
    await until('Envoy is ready', async () => (await get(`http://${envoy.admin}/ready`)).status === 200);
    return envoy;
  }

  /** Value of a counter or gauge, as in `cluster.inference.upstream_rq_active`; 0 where there is none. */
  async stat(name: string): Promise<number> {
    const { text } = await get(`http://${this.admin}/stats?filter=^${name}$`);
    return Number(text.slice(text.lastIndexOf(':') + 1) || 0);
  }

  async stop(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exited;
    rmSync(this.folder, { recursive: true, force: true });
  }

  private adminAddress(): string | null {
    if (this.child.exitCode !== null) throw new Error(`Envoy ended: ${this.log}`);
    const file = join(this.folder, 'admin');
    return existsSync(file) ? readFileSync(file, 'utf8') || null : null;
  }

  private async listenAddress(): Promise<string | null> {
    const { text } = await get(`http://${this.admin}/listeners?format=json`);
    const { listener_statuses = [] } = JSON.parse(text) as { listener_statuses?: readonly ListenerStatus[] };
    if (listener_statuses.length === 0) return null;
    const { address, port_value } = listener_statuses[0].local_address.socket_address;
    return port_value === 0 ? null : `${address}:${port_value}`;
  }
}

interface ListenerStatus {
  readonly local_address: { readonly socket_address: { readonly address: string; readonly port_value: number } };
}
