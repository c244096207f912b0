import { startSimEngine, type SimEngine, type SimEngineOptions } from '../../../src/sim/server.ts';
import { HermesProcess } from './process.ts';
import { until } from './until.ts';
import { get } from './router.ts';

/** Engines of one model in this process: cheap, and their state is at hand. */
export function startEngines(
  count: number,
  model: string,
  options: Partial<SimEngineOptions> = {},
): Promise<SimEngine[]> {
  return Promise.all(Array.from({ length: count }, () => startSimEngine({ models: [model], ...options })));
}

export async function closeAll(things: readonly { close(): Promise<void> }[]): Promise<void> {
  await Promise.all(things.map((thing) => thing.close()));
}

/** Waits until engines work for nobody. */
export async function idleEngines(engines: readonly SimEngine[]): Promise<void> {
  await until('no stream left in an engine', () => engines.every((engine) => engine.state().activeStreams === 0));
}

/** An engine as a process of its own, which can be killed and started again at the same address. */
export class EngineProcess {
  readonly address: string;
  private readonly flags: readonly string[];
  private process: HermesProcess;

  private constructor(process: HermesProcess, address: string, flags: readonly string[]) {
    this.process = process;
    this.address = address;
    this.flags = flags;
  }

  static async start(model: string, flags: readonly string[] = []): Promise<EngineProcess> {
    const all = ['--model', model, ...flags];
    const process = new HermesProcess(['sim-engine', '--listen', '127.0.0.1:0', ...all]);
    return new EngineProcess(process, await process.address('sim-engine'), all);
  }

  async state(): Promise<{ activeStreams: number; requests: number; aborted: number }> {
    const { text } = await get(`http://${this.address}/sim/state`);
    return JSON.parse(text) as { activeStreams: number; requests: number; aborted: number };
  }

  kill(): Promise<void> {
    return this.process.kill();
  }

  /** Starts the engine anew where it was. */
  async restart(): Promise<void> {
    this.process = new HermesProcess(['sim-engine', '--listen', this.address, ...this.flags]);
    await this.process.address('sim-engine');
  }

  close(): Promise<void> {
    return this.process.kill();
  }
}
