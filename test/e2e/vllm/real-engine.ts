import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { get } from '../testkit/router.ts';
import { until } from '../testkit/until.ts';
import { quietPort } from '../testkit/ports.ts';
import type { Connector } from './connectors.ts';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const folder = here('../../../.cache/vllm');

/** Milliseconds for an engine to load; some of them share the machine. */
const patience = 300_000;
/** Blocks that an engine has for KV: of those that `serve.sh` asks for, vLLM keeps one for itself. */
const kvBlocks = 127;

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

  private constructor([port, events, replay]: readonly number[], connector: Connector | null) {
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
    if (connector !== null) flags.push('--kv-transfer-config', JSON.stringify(connector.config));
    this.process = spawn(here('serve.sh'), [folder, String(port), ...flags], {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...connector?.env },
    });
    for (const stream of [this.process.stdout, this.process.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => (this.output = (this.output + text).slice(-4000)));
    this.exited = new Promise((resolve) => this.process.on('close', () => resolve()));
  }

  static async start(connector: Connector | null = null): Promise<RealEngine> {
    // vLLM does not tell which port it got when it is asked for any.
    const engine = new RealEngine([await quietPort(), await quietPort(), await quietPort()], connector);
    try {
      await until('vLLM is up', () => engine.isUp(), patience);
      return engine;
    } catch (error) {
      await engine.kill();
      throw error;
    }
  }

  /** Starts one for each of the connectors, or none. */
  static async startAll(connectors: readonly (Connector | null)[]): Promise<RealEngine[]> {
    const starts = connectors.map((connector) => RealEngine.start(connector));
    try {
      return await Promise.all(starts);
    } catch (error) {
      for (const start of await Promise.allSettled(starts)) if (start.status === 'fulfilled') await start.value.kill();
      throw error;
    }
  }

  /** Ends it and its workers without their good-byes. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.exited;
  }

  /** Sends a signal to it and its workers: SIGSTOP hangs it, SIGCONT lets it go on. */
  signal(signal: NodeJS.Signals): void {
    const { pid, exitCode, signalCode } = this.process;
    if (pid !== undefined && exitCode === null && signalCode === null) process.kill(-pid, signal);
  }

  /** A gauge, counter, or the `_sum` or `_count` of a histogram of the engine, all series summed. */
  async gauge(name: string): Promise<number> {
    const { text } = await get(`http://${this.address}/metrics`);
    const series = text.split('\n').filter((line) => line.startsWith(`${name}{`));
    return series.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }

  /** Blocks that requests have, or that wait to be read by a decoder; what is only cached does not count. */
  async blocksInUse(): Promise<number> {
    return Math.round((await this.gauge('vllm:kv_cache_usage_perc')) * kvBlocks);
  }

  private async isUp(): Promise<boolean> {
    if (this.process.exitCode !== null) throw new Error(`vLLM has ended; it said last: ${this.output}`);
    return get(`http://${this.address}/health`).then(
      ({ status }) => status === 200,
      () => false,
    );
  }
}
