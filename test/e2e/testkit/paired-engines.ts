import type { SimEngine, SimEngineOptions } from '../../../src/sim/server.ts';
import type { PairMember } from './pairs.ts';

/** Tensor-parallel sizes of a group's prefillers and decoders. */
export interface GroupShape {
  readonly prefills: readonly number[];
  readonly decodes: readonly number[];
}

/** Starts engines of a model. */
export interface EngineStarter {
  sim(count: number, model: string, options?: Partial<SimEngineOptions>): Promise<SimEngine[]>;
}

/** Simulated engines that hand blocks over as NIXL does, in groups by name. */
export class PairedEngines {
  readonly members: PairMember[] = [];
  private readonly engines = new Map<string, SimEngine>();

  static async start(
    starter: EngineStarter,
    groups: Readonly<Record<string, GroupShape>>,
    options: Partial<SimEngineOptions> = {},
  ): Promise<PairedEngines> {
    const fleet = new PairedEngines();
    for (const [group, { prefills, decodes }] of Object.entries(groups)) {
      for (const [role, sizes] of [
        ['prefill', prefills],
        ['decode', decodes],
      ] as const)
        // prettier-ignore
        for (const [i, tpSize] of sizes.entries()) {
          const [engine] = await starter.sim(1, 'm', { tpSize, kvTransfer: { connector: 'nixl' }, ...options });
          fleet.add({ name: `${group}-${role[0]}${i}`, address: engine.address, role, group, tpSize }, engine);
        }
    }
    return fleet;
  }

  engine(name: string): SimEngine {
    const found = this.engines.get(name);
    if (found === undefined) throw new Error(`no engine ${name}`);
    return found;
  }

  all(role: PairMember['role'], group?: string): SimEngine[] {
    return this.members
      .filter((member) => member.role === role && (group === undefined || member.group === group))
      .map(({ name }) => this.engine(name));
  }

  /** Sum of a figure of the hand-over over all engines of a role. */
  sum(role: PairMember['role'], figure: Figure, group?: string): number {
    return this.all(role, group).reduce((total, engine) => total + engine.state().handover[figure], 0);
  }

  private add(member: PairMember, engine: SimEngine): void {
    this.members.push(member);
    this.engines.set(member.name, engine);
  }
}

type Handover = ReturnType<SimEngine['state']>['handover'];
type Figure = { [K in keyof Handover]: Handover[K] extends number ? K : never }[keyof Handover];
