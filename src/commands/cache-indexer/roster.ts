import type { ModelList } from '../../datalayer/models.ts';
import type { Holder } from '../../indexer/kv-events.ts';
import type { Roster, Served, ServingPod } from '../../indexer/serve/roster.ts';

/** One engine as the fleet sees it. */
export interface EngineEntry {
  readonly name: string;
  readonly address: string;
  /** What it says it serves, else what its group declares. */
  readonly models: ModelList;
}

type HoldersOf = (address: string) => readonly Holder[];

/** An engine of the roster; its caches are looked up each time, as ranks come and go. */
class RosterPod implements ServingPod {
  readonly name: string;
  readonly address: string;
  private readonly holdersOf: HoldersOf;

  constructor({ name, address }: EngineEntry, holdersOf: HoldersOf) {
    this.name = name;
    this.address = address;
    this.holdersOf = holdersOf;
  }

  get holders(): readonly Holder[] {
    return this.holdersOf(this.address);
  }
}

/** Which engine serves what: made anew when an engine comes, goes or serves something else. */
export class EngineRoster implements Roster {
  private readonly byModel = new Map<string, { readonly pods: ServingPod[]; readonly lora: string }>();

  /** Engines in the order in which answers name them, each address once. */
  constructor(engines: readonly EngineEntry[], holdersOf: HoldersOf) {
    const pods = engines.map((engine) => new RosterPod(engine, holdersOf));
    engines.forEach(({ models }, i) => this.enter(models.base, pods[i], () => ''));
    // A name that is a model's for some engine and an adapter's for others is the model's.
    engines.forEach(({ models }, i) => this.enter(models.adapters, pods[i], (name) => name));
  }

  get models(): readonly string[] {
    return [...this.byModel.keys()];
  }

  serving(model: string): Served | null {
    return this.byModel.get(model) ?? null;
  }

  private enter(names: readonly string[], pod: ServingPod, loraOf: (name: string) => string): void {
    for (const name of new Set(names)) {
      const lora = loraOf(name);
      const entry = this.byModel.get(name);
      if (entry === undefined) this.byModel.set(name, { pods: [pod], lora });
      else if (entry.lora === lora) entry.pods.push(pod);
    }
  }
}
