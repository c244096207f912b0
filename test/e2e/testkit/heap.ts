import type { RunningRouter } from './router.ts';
import { until } from './until.ts';

/** Environment of a router whose heap can be looked into. */
export const inspectable = { NODE_OPTIONS: '--inspect=127.0.0.1:0' };

/** Bytes of a router's heap, buffers included, that garbage collection leaves. */
export async function liveHeap(router: Pick<RunningRouter, 'process'>): Promise<number> {
  const url = await until('the inspector listens', () => /ws:\/\/\S+/.exec(router.process.stderr)?.[0]);
  const inspector = await Inspector.open(url);
  // What one collection finalizes, only the next one frees.
  await inspector.call('HeapProfiler.collectGarbage');
  await inspector.call('HeapProfiler.collectGarbage');
  const { usedSize, backingStorageSize = 0 } = await inspector.call('Runtime.getHeapUsage');
  inspector.close();
  return usedSize + backingStorageSize;
}

interface HeapUsage {
  readonly usedSize: number;
  readonly backingStorageSize?: number;
}

class Inspector {
  private readonly socket: WebSocket;
  private calls = 0;

  private constructor(socket: WebSocket) {
    this.socket = socket;
  }

  static async open(url: string): Promise<Inspector> {
    const socket = new WebSocket(url);
    await new Promise((resolve, reject) => {
      socket.addEventListener('open', resolve);
      socket.addEventListener('error', reject);
    });
    return new Inspector(socket);
  }

  /** Resolves to the result of a method without parameters. */
  call(method: string): Promise<HeapUsage> {
    const id = (this.calls += 1);
    return new Promise((resolve) => {
      const listen = ({ data }: MessageEvent): void => {
        const message = JSON.parse(String(data)) as { id?: number; result: HeapUsage };
        if (message.id !== id) return;
        this.socket.removeEventListener('message', listen);
        resolve(message.result);
      };
      this.socket.addEventListener('message', listen);
      this.socket.send(JSON.stringify({ id, method }));
    });
  }

  close(): void {
    this.socket.close();
  }
}
