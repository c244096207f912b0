import type { SimEngine, SimEngineOptions } from '../../../src/sim/server.ts';
import { Client } from './client.ts';
import { ScriptedEngine, type Script } from './engine.ts';
import type { Document } from './manifests.ts';
import { idle, startRouter, type RouterOptions, type RunningRouter } from './router.ts';
import { closeAll, EngineProcess, idleEngines, startEngines } from './sim.ts';
import { until } from './until.ts';

/** One router with its engines and a client, for one test. */
export class World {
  private readonly sims: SimEngine[] = [];
  private readonly processes: EngineProcess[] = [];
  private readonly scripted: ScriptedEngine[] = [];
  private started: { router: RunningRouter; client: Client; sockets: number } | null = null;

  async sim(count: number, model: string, options: Partial<SimEngineOptions> = {}): Promise<SimEngine[]> {
    const engines = await startEngines(count, model, { speedUp: 10, ...options });
    this.sims.push(...engines);
    return engines;
  }

  async child(model: string, flags: readonly string[] = []): Promise<EngineProcess> {
    const engine = await EngineProcess.start(model, flags);
    this.processes.push(engine);
    return engine;
  }

  async script(count: number, model: string, script?: Script): Promise<ScriptedEngine[]> {
    const engines = await Promise.all(Array.from({ length: count }, () => ScriptedEngine.start([model], script)));
    this.scripted.push(...engines);
    return engines;
  }

  async serve(documents: readonly Document[], options: RouterOptions = {}): Promise<RunningRouter> {
    const router = await startRouter(documents, options);
    this.started = { router, client: new Client(router.proxy), sockets: router.process.sockets() };
    return router;
  }

  get client(): Client {
    if (this.started === null) throw new Error('no router has been started');
    return this.started.client;
  }

  get router(): RunningRouter {
    if (this.started === null) throw new Error('no router has been started');
    return this.started.router;
  }

  /** Ends everything, after a look whether anything is left of the requests: in the router, in engines, or as sockets. */
  async close(): Promise<void> {
    const { started } = this;
    try {
      if (started !== null && started.router.process.running) await this.lookForLeaks(started);
    } finally {
      await started?.client.close();
      await started?.router.stop();
      await closeAll([...this.sims, ...this.processes, ...this.scripted]);
    }
  }

  private async lookForLeaks({ router, client, sockets }: NonNullable<World['started']>): Promise<void> {
    await idle(router);
    await idleEngines(this.sims);
    await until('no request left in an engine', () => this.scripted.every((engine) => engine.open === 0));
    await client.close();
    await closeAll(this.scripted.splice(0));
    await closeAll(this.sims.splice(0));
    await closeAll(this.processes.splice(0));
    // Without clients and engines there is nobody left to have a connection with.
    await until('the sockets that there were before', () => router.process.sockets() <= sockets);
  }
}
