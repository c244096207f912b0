import type { SimEngine, SimEngineOptions } from '../../../src/sim/server.ts';
import { Client } from '../testkit/client.ts';
import { ScriptedEngine, type Script } from '../testkit/engine.ts';
import type { Document } from '../testkit/manifests.ts';
import { closeAll, EngineProcess, idleEngines, startEngines } from '../testkit/sim.ts';
import { until } from '../testkit/until.ts';
import type { EnvoyOptions } from './config.ts';
import { Envoy } from './envoy.ts';
import { pickerIdle, startPicker, type PickerOptions, type RunningPicker } from './picker.ts';

/** Engines behind an Envoy that asks our picker, and a client before it, for one test or one suite. */
export class EnvoyWorld {
  readonly engines: (SimEngine | ScriptedEngine | EngineProcess)[] = [];
  private readonly sims: SimEngine[] = [];
  private readonly scripted: ScriptedEngine[] = [];
  private started: { picker: RunningPicker; envoy: Envoy; client: Client } | null = null;

  async sim(count: number, model: string, options: Partial<SimEngineOptions> = {}): Promise<SimEngine[]> {
    const engines = await startEngines(count, model, { speedUp: 10, ...options });
    this.sims.push(...engines);
    this.engines.push(...engines);
    return engines;
  }

  async script(count: number, model: string, script?: Script): Promise<ScriptedEngine[]> {
    const engines = await Promise.all(Array.from({ length: count }, () => ScriptedEngine.start([model], script)));
    this.scripted.push(...engines);
    this.engines.push(...engines);
    return engines;
  }

  async child(model: string, flags: readonly string[] = []): Promise<EngineProcess> {
    const engine = await EngineProcess.start(model, flags);
    this.engines.push(engine);
    return engine;
  }

  get addresses(): string[] {
    return this.engines.map(({ address }) => address);
  }

  /** Starts picker and Envoy; Envoy knows all engines that there are now, and those that its options name. */
  async serve(
    documents: readonly Document[],
    options: PickerOptions = {},
    envoyOptions: Partial<EnvoyOptions> = {},
  ): Promise<{ picker: RunningPicker; envoy: Envoy; client: Client }> {
    const picker = await startPicker(documents, options);
    const tls = options.tls ?? false;
    const envoy = await Envoy.start({ picker: picker.grpc, engines: this.addresses, tls, ...envoyOptions });
    this.started = { picker, envoy, client: new Client(envoy.address) };
    return this.started;
  }

  get picker(): RunningPicker {
    return this.parts.picker;
  }

  get envoy(): Envoy {
    return this.parts.envoy;
  }

  get client(): Client {
    return this.parts.client;
  }

  /** Waits until nobody works for anybody: no request in the picker, in Envoy or in an engine. */
  async idle(): Promise<void> {
    const { picker, envoy } = this.parts;
    await idleEngines(this.sims);
    await until('no request left in an engine', () => this.scripted.every((engine) => engine.open === 0));
    for (const cluster of ['ext_proc', 'inference'])
      await until(
        `no request of Envoy to ${cluster}`,
        async () => (await envoy.stat(`cluster.${cluster}.upstream_rq_active`)) === 0,
      );
    if (picker.process.running) await pickerIdle(picker);
  }

  async close(): Promise<void> {
    const { started } = this;
    try {
      if (started !== null) await this.idle();
    } finally {
      await started?.client.close();
      await started?.envoy.stop();
      await started?.picker.stop();
      await closeAll(this.engines.splice(0));
    }
  }

  private get parts(): NonNullable<EnvoyWorld['started']> {
    if (this.started === null) throw new Error('nothing has been started');
    return this.started;
  }
}
