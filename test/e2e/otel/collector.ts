import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { cached } from '../cluster/kit/cache.ts';
import { mustRun, run } from '../cluster/kit/command.ts';
import { get } from '../testkit/router.ts';
import { until } from '../testkit/until.ts';

const module_ = join(import.meta.dirname, 'receiver');

/** A span as the collector's own code has read it; ids in hex, times in nanoseconds. */
export interface GotSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for a root. */
  readonly parentId: string;
  readonly traceState: string;
  readonly name: string;
  readonly kind: string;
  readonly start: string;
  readonly end: string;
  readonly status: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly events: readonly { readonly name: string; readonly time: string }[];
  readonly resource: Readonly<Record<string, unknown>>;
  readonly scope: string;
}

interface Got {
  readonly spans: readonly GotSpan[];
  /** Why calls were refused. */
  readonly refused: readonly string[];
  /** The Authorization header of each call. */
  readonly headers: readonly string[];
  /** All bodies as they came. */
  readonly bytes: string;
}

/** Path of the receiver, which is built once: some twenty seconds. */
async function receiverBinary(): Promise<string> {
  const sources = readdirSync(module_).map((name) => join(module_, name));
  const folder = await cached('otel-receiver', sources, async (draft) => {
    const go = await run('go', ['version']).catch(() => null);
    if (go?.code !== 0) throw new Error('The suites of traces build a receiver of the collector: install Go 1.26.');
    await mustRun('nice', ['go', 'build', '-trimpath', '-mod=readonly', '-ldflags=-s -w', '-o', draft, '.'], {
      cwd: module_,
      env: { ...process.env, CGO_ENABLED: '0' },
    });
  });
  return join(folder, 'receiver');
}

/** A process that takes OTLP/HTTP by the code of the OpenTelemetry collector. */
export class Collector {
  readonly address: string;
  private readonly child: ChildProcessByStdio<null, Readable, null>;

  private constructor(child: ChildProcessByStdio<null, Readable, null>, address: string) {
    this.child = child;
    this.address = address;
  }

  static async start(): Promise<Collector> {
    const child = spawn(await receiverBinary(), [], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string];
    return new Collector(child, (JSON.parse(line) as { address: string }).address);
  }

  /** What makes a router send its spans here, soon. */
  get env(): Record<string, string> {
    return { OTEL_EXPORTER_OTLP_ENDPOINT: `http://${this.address}`, OTEL_BSP_SCHEDULE_DELAY: '50' };
  }

  async got(): Promise<Got> {
    const got = JSON.parse((await get(`http://${this.address}/got`)).text) as Got;
    if (got.refused.length > 0) throw new Error(`the collector refuses: ${got.refused.join('; ')}`);
    return got;
  }

  /** The spans of a trace, once as many have come. */
  async trace(traceId: string, count: number): Promise<Trace> {
    let found: readonly GotSpan[] = [];
    await until(`${count} spans of the trace`, async () => {
      found = (await this.got()).spans.filter((span) => span.traceId === traceId);
      return found.length >= count;
    });
    return new Trace(found);
  }

  async close(): Promise<void> {
    this.child.kill('SIGKILL');
    await once(this.child, 'close');
  }
}

/** The spans of one trace. */
export class Trace {
  readonly spans: readonly GotSpan[];

  constructor(spans: readonly GotSpan[]) {
    this.spans = spans;
  }

  /** Names as a tree, those that began first before the others. */
  tree(parentId = ''): Tree {
    const children = this.spans
      .filter((span) => span.parentId === parentId)
      .sort((a, b) => (BigInt(a.start) < BigInt(b.start) ? -1 : 1));
    return children.map(({ name, spanId }) => [name, this.tree(spanId)] as const);
  }

  /** The only span of that name. */
  one(name: string): GotSpan {
    const found = this.spans.filter((span) => span.name === name);
    if (found.length !== 1) throw new Error(`${found.length} spans are called ${name}`);
    return found[0];
  }
}

export type Tree = readonly (readonly [name: string, children: Tree])[];
