import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Cluster } from '../kit/index.ts';

/** The line between a router and the API server, which can hold back what the router says while answers go on. */
export class Line {
  /** A kubeconfig that leads through here. */
  readonly kubeconfig: string;
  private readonly server: Server;
  private readonly callers = new Set<Socket>();
  private readonly waiting: { readonly target: Socket; readonly bytes: Buffer }[] = [];
  private held = false;

  private constructor(server: Server, kubeconfig: string) {
    this.server = server;
    this.kubeconfig = kubeconfig;
  }

  /** Opens a line for the holder of this kubeconfig. */
  static async open(cluster: Cluster, kubeconfig: string): Promise<Line> {
    const target = new URL(cluster.server);
    const server = createServer({ noDelay: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const path = join(cluster.access.dir, `line-${(server.address() as AddressInfo).port}.kubeconfig`);
    const here = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    writeFileSync(path, readFileSync(kubeconfig, 'utf8').replace(cluster.server, here), { mode: 0o600 });
    const line = new Line(server, path);
    server.on('connection', (caller) => line.join(caller, connect(Number(target.port), target.hostname)));
    return line;
  }

  /** Bytes that wait. */
  get heldBytes(): number {
    return this.waiting.reduce((sum, { bytes }) => sum + bytes.length, 0);
  }

  /** From now on what the router says waits. */
  hold(): void {
    this.held = true;
  }

  /** All that has waited goes on. */
  release(): void {
    this.held = false;
    for (const { target, bytes } of this.waiting.splice(0)) target.write(bytes);
  }

  async close(): Promise<void> {
    for (const caller of this.callers) caller.destroy();
    await once(this.server.close(), 'close');
  }

  private join(caller: Socket, target: Socket): void {
    this.callers.add(caller);
    caller.on('data', (bytes: Buffer) => {
      if (this.held) this.waiting.push({ target, bytes });
      else target.write(bytes);
    });
    target.on('data', (bytes) => caller.write(bytes));
    // Whoever breaks off, the other one sees it.
    for (const [one, other] of [
      [caller, target],
      [target, caller],
    ] as const) {
      one.on('error', () => other.destroy());
      one.on('close', () => {
        other.destroy();
        this.callers.delete(caller);
      });
    }
  }
}
