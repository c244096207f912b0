import type { BackendGroup } from '../api/backend-group.ts';
import type { EndpointSeed } from '../router/endpoint.ts';
import { met, unmet, type Condition } from './conditions.ts';

/** What discovery found for a group. */
export interface Found {
  /** The same array while nothing has changed: what is compiled from it is kept by its identity. */
  readonly seeds: readonly EndpointSeed[];
  /** The group's condition `Discovered`. */
  readonly condition: Condition;
}

/** Where groups' endpoints come from. */
export interface Discovery {
  find(group: BackendGroup): Found;
  /**
   * Why the Service that a group names may not be connected to at an address, as a sentence without a full stop; null
   * where it may. Absent where what groups name is the operator's own word, as in files.
   */
  refusalOf?(service: ServiceName, address: string): string | null;
}

/** A Service by name. */
export interface ServiceName {
  readonly namespace: string;
  readonly name: string;
}

/** Endpoints written down in the group itself; the other ways need a cluster. */
export class StaticDiscovery implements Discovery {
  private readonly found = new WeakMap<BackendGroup, Found>();

  find(group: BackendGroup): Found {
    let found = this.found.get(group);
    if (found === undefined) {
      found = staticEndpoints(group);
      this.found.set(group, found);
    }
    return found;
  }
}

function staticEndpoints(group: BackendGroup): Found {
  const { discovery } = group.spec;
  if (discovery.type !== 'Static') {
    const message = `discovery ${discovery.type} needs a cluster; without one use discovery type Static`;
    return { seeds: [], condition: unmet('Discovered', 'NoMatch', message) };
  }
  const seeds = discovery.static.endpoints.map(({ name, address, labels, ports }) => ({
    name,
    address,
    labels: labels ?? {},
    ports: Object.fromEntries((ports ?? []).map((port) => [port.name, port.port])),
  }));
  return { seeds, condition: met('Discovered', `${seeds.length} endpoints`) };
}
