import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { get } from '../testkit/router.ts';
import { until } from '../testkit/until.ts';
import { quietPort } from '../testkit/ports.ts';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const folder = here('../../../.cache/vllm');

/** Milliseconds for an engine to load; two of them share the machine. */
const patience = 300_000;

/** Installs vLLM and its model; some minutes the first time, nothing after that. */
export function install(): void {
  execFileSync(here('install.sh'), [folder], { stdio: 'inherit' });
}

/** A real vLLM as a process group of its own. */
export class RealEngine {
  readonly address: string;
  /** Where it publishes its KV events. */
  readonly kvEvents: { readonly events: string; readonly replay: string };
  private readonly process: ChildProcess;
  private output = '';
  private readonly exited: Promise<void>;

  private constructor([port, events, replay]: readonly number[]) {
    this.address = `127.0.0.1:${port}`;
    this.kvEvents = { events: `tcp://*:${events}`, replay: `tcp://*:${replay}` };
    const publisher = {
      enable_kv_cache_events: true,
      publisher: 'zmq',
      endpoint: this.kvEvents.events,
      replay_endpoint: this.kvEvents.replay,
      topic: 'kv-events',
    };
    const flags = ['--kv-events-config', JSON.stringify(publisher)];
    this.process = spawn(here('serve.sh'), [folder, String(port), ...flags], {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.process.stdout, this.process.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => (this.output = (this.output + text).slice(-4000)));
    this.exited = new Promise((resolve) => this.process.on('close', () => resolve()));
  }

  static async start(): Promise<RealEngine> {
    // vLLM does not tell which port it got when it is asked for any.
    const engine = new RealEngine([await quietPort(), await quietPort(), await quietPort()]);
    await until('vLLM is up', () => engine.isUp(), patience);
    return engine;
  }

  /** Ends it and its workers without their good-byes. */
  async kill(): Promise<void> {
    const { pid, exitCode, signalCode } = this.process;
    if (pid !== undefined && exitCode === null && signalCode === null) process.kill(-pid, 'SIGKILL');
    await this.exited;
  }

  /** A gauge of the engine, all series summed. */
  async gauge(name: string): Promise<number> {
    const { text } = await get(`http://${this.address}/metrics`);
    const series = text.split('\n').filter((line) => line.startsWith(`${name}{`));
    return series.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }

  private async isUp(): Promise<boolean> {
    if (this.process.exitCode !== null) throw new Error(`vLLM has ended; it said last: ${this.output}`);
    return get(`http://${this.address}/health`).then(
      ({ status }) => status === 200,
      () => false,
    );
  }
}
