import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Child, ChildError } from './child.ts';
import { exitCode, stopped, UsageError, type CommandIo } from './command-io.ts';
import { demoManifests } from './demo-manifests.ts';
import { demoHelp, parseDemoFlags, type DemoOptions } from './demo-options.ts';
import { baseline, reportLines, type DemoRun } from './demo-report.ts';
import { play } from './player.ts';
import { Progress } from './progress.ts';
import { workloads, type Workload } from './workloads.ts';

/** What a demo needs from its caller. */
export interface DemoDependencies {
  /** Command that runs hermes-router; `sim-engine` and `serve` are started as processes of their own. */
  readonly program: readonly string[];
  /** Writes to a terminal without a line end; null where there is none. */
  readonly redraw: ((text: string) => void) | null;
  /** End after the table instead of staying up. */
  readonly once: boolean;
  /** Lateness of the simulated clock, in percent, from which on a run is refused; default 5. */
  readonly mostLagPercent?: number;
  /** The workloads to choose among, by name; default all of the project's. */
  readonly workloads?: ReadonlyMap<string, (seed: number) => Workload>;
}

/** Thrown when a run's figures would not be worth printing. */
export class DemoError extends Error {
  override readonly name = 'DemoError';
}

const engineCount = 8;
const concurrency = 8;
const model = 'demo-model';
const strategies = [baseline, 'KVAware', 'Auto'] as const;
const usualMostLagPercent = 5;

/** `hermes-router demo`: exit code 3 when a part does not start or the simulated clock could not keep up. */
export async function runDemo(argv: readonly string[], io: CommandIo, dependencies: DemoDependencies): Promise<number> {
  const known = dependencies.workloads ?? workloads;
  try {
    const options = parseDemoFlags(argv, [...known.keys()]);
    if (options.help) {
      io.out(demoHelp);
      return exitCode.fine;
    }
    await new Demo(options, io, dependencies).run(known);
    return exitCode.fine;
  } catch (error) {
    if (error instanceof UsageError) {
      io.err(`demo: ${error.message}; see hermes-router demo --help`);
      return exitCode.usage;
    }
    if (!(error instanceof DemoError || error instanceof ChildError)) throw error;
    io.err(`demo: ${error.message}`);
    return exitCode.outside;
  }
}

class Demo {
  private readonly options: DemoOptions;
  private readonly io: CommandIo;
  private readonly dependencies: DemoDependencies;
  private readonly progress: Progress;
  private readonly runs: DemoRun[] = [];
  private readonly children: Child[] = [];

  constructor(options: DemoOptions, io: CommandIo, dependencies: DemoDependencies) {
    this.options = options;
    this.io = io;
    this.dependencies = dependencies;
    // With --json standard output carries the results alone.
    this.progress = new Progress(options.json ? io.err : io.out, options.json ? null : dependencies.redraw);
  }

  async run(known: ReadonlyMap<string, (seed: number) => Workload>): Promise<void> {
    const folder = await mkdtemp(join(tmpdir(), 'hermes-demo-'));
    try {
      const engines = await this.startEngines();
      let origin = '';
      for (const strategy of strategies) origin = await this.compare(strategy, engines, { folder, known });
      this.report();
      if (!this.options.json && !this.dependencies.once) await this.stay(origin);
    } finally {
      await Promise.all(this.children.map((child) => child.kill()));
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** All engines in one process, so that the router has its own. */
  private async startEngines(): Promise<string[]> {
    const listen = Array.from({ length: engineCount }, () => '--listen=127.0.0.1:0');
    const speedUp = `--speed-up=${this.options.speedUp}`;
    const child = this.start('the engines', ['sim-engine', `--model=${model}`, speedUp, ...listen]);
    return child.listening('sim-engine', engineCount);
  }

  private start(name: string, args: readonly string[]): Child {
    const child = new Child(name, this.dependencies.program, args);
    this.children.push(child);
    return child;
  }

  /** Plays every workload and seed by one strategy; the last strategy's router stays up. Returns where it listens. */
  private async compare(strategy: string, engines: readonly string[], { folder, known }: Material): Promise<string> {
    const scrapeMilliseconds = Math.max(50, Math.round(1000 / this.options.speedUp));
    const yaml = demoManifests(strategy, engines, { model, scrapeMilliseconds });
    await writeFile(join(folder, 'demo.yaml'), yaml);
    const ports = ['--listen=127.0.0.1:0', '--admin=127.0.0.1:0', '--metrics=127.0.0.1:0'];
    const router = this.start('the router', ['serve', `--manifests=${folder}`, ...ports]);
    const [metrics] = await router.listening('metrics');
    await router.ready(`http://${metrics}/readyz`);
    const [proxy] = await router.listening('proxy');
    const origin = `http://${proxy}`;
    await router.ready(`${origin}/v1/models`);
    for (const name of this.options.workloads) {
      const make = known.get(name);
      if (make === undefined) throw new DemoError(`no workload is named ${name}`);
      for (let seed = 1; seed <= this.options.seeds; seed++) {
        const run = { workload: make(seed), strategy, seed };
        this.runs.push(await this.playOnce(run, origin, engines));
      }
    }
    if (strategy !== strategies[strategies.length - 1]) await router.kill();
    return origin;
  }

  private async playOnce(
    { workload, strategy, seed }: { workload: Workload; strategy: string; seed: number },
    origin: string,
    engines: readonly string[],
  ): Promise<DemoRun> {
    await resetCaches(engines);
    const before = await lagOf(engines);
    const title = `${strategy}, ${workload.title}${this.options.seeds > 1 ? `, seed ${seed}` : ''}`;
    this.progress.begin();
    const { speedUp } = this.options;
    const onProgress = (done: number, total: number): void => {
      this.progress.show(title, done, total);
    };
    const result = await play(workload, { origin, model, concurrency, speedUp, onProgress });
    const after = await lagOf(engines);
    const lagPercent = (100 * (after.lag - before.lag)) / (after.requests - before.requests);
    checkFailures(title, result.failures);
    this.checkLag(title, lagPercent);
    return { workload: workload.name, title: workload.title, strategy, seed, lagPercent, result };
  }

  /** Engines that cannot keep their own time say nothing about routing. */
  private checkLag(title: string, lagPercent: number): void {
    const most = this.dependencies.mostLagPercent ?? usualMostLagPercent;
    if (lagPercent <= most) return;
    const late = `the simulated clock ran ${lagPercent.toFixed(1)} % late (${title}), over ${most} %`;
    throw new DemoError(`${late}: the machine is too busy; end other programs or lower --speed-up`);
  }

  private report(): void {
    if (this.options.json) {
      this.io.out(
        JSON.stringify({ speedUp: this.options.speedUp, engines: engineCount, concurrency, runs: this.runs }),
      );
      return;
    }
    for (const line of reportLines(this.runs)) this.io.out(line);
    const lag = Math.max(...this.runs.map(({ lagPercent }) => lagPercent));
    this.io.out('');
    this.io.out(
      `Times are engine time, ${this.options.speedUp} times wall time; the simulated clock ran at most ${lag.toFixed(1)} % late.`,
    );
  }

  private async stay(origin: string): Promise<void> {
    const body = `{"model":"${model}","stream":true,"messages":[{"role":"user","content":"Hello"}]}`;
    this.io.out('The router and its engines stay up until Ctrl-C. Try:');
    this.io.out(`  curl -N ${origin}/v1/chat/completions -H 'content-type: application/json' -d '${body}'`);
    await stopped(this.io);
  }
}

interface Material {
  readonly folder: string;
  readonly known: ReadonlyMap<string, (seed: number) => Workload>;
}

function checkFailures(title: string, failures: Readonly<Record<string, number>>): void {
  const kinds = Object.entries(failures).map(([kind, count]) => `${count} x ${kind}`);
  if (kinds.length > 0) throw new DemoError(`requests failed (${title}): ${kinds.join(', ')}`);
}

async function resetCaches(engines: readonly string[]): Promise<void> {
  for (const address of engines) {
    const response = await fetch(`http://${address}/reset_prefix_cache`, { method: 'POST' });
    await response.arrayBuffer();
    const left = numberOf(await stateOf(address), 'cachedBlocks');
    if (left > 0)
      throw new DemoError(`the engine at ${address} keeps ${left} cached blocks: a request is still running`);
  }
}

/** Seconds of lag and of requests' time, over all engines. */
async function lagOf(engines: readonly string[]): Promise<{ lag: number; requests: number }> {
  let lag = 0;
  let requests = 0;
  for (const address of engines) {
    const state = await stateOf(address);
    lag += numberOf(state, 'lagSeconds');
    requests += numberOf(state, 'requestSeconds');
  }
  return { lag, requests };
}

async function stateOf(address: string): Promise<ReadonlyMap<string, unknown>> {
  const response = await fetch(`http://${address}/sim/state`);
  const value: unknown = await response.json();
  return new Map(Object.entries(value ?? {}));
}

function numberOf(state: ReadonlyMap<string, unknown>, name: string): number {
  const value = state.get(name);
  if (typeof value !== 'number') throw new DemoError(`an engine's state has no ${name}`);
  return value;
}
