import type { EndpointSeed } from '../../router/endpoint.ts';
import { met, unmet, type Condition } from '../conditions.ts';
import type { Labels } from './fields.ts';
import { hostAndPort, isForbiddenTarget } from './target.ts';

/** What discovery read to find a group's endpoints: a change of any of it may change them. */
export interface References {
  /** Names of Services, there or not, whose EndpointSlices count too. */
  readonly services: ReadonlySet<string>;
  /** Names of InferencePools, there or not. */
  readonly pools: ReadonlySet<string>;
  /** Names of Pods that were looked up one by one. */
  readonly pods: ReadonlySet<string>;
  readonly podSelector: Labels | null;
  readonly serviceSelector: Labels | null;
}

/** What is known of one endpoint before it is checked. */
export interface Candidate {
  /** What names it, for people: `Pod a`. */
  readonly source: string;
  readonly name: string;
  /** IP address or host name. */
  readonly host: string;
  readonly port: number;
  readonly labels: Labels;
  readonly ports: Readonly<Record<string, number>>;
  readonly ready: boolean;
}

type Reason = 'NoMatch' | 'PortNotFound';

/** So many things that are wrong are told one by one. */
const mostFaults = 3;
/** The status of a group takes no longer names. */
const longestName = 253;

/** Gathers the endpoints of one group and what went wrong. */
export class Finding {
  readonly services = new Set<string>();
  readonly pools = new Set<string>();
  readonly pods = new Set<string>();
  podSelector: Labels | null = null;
  serviceSelector: Labels | null = null;
  readonly allowExternalTargets: boolean;
  readonly trustsSlices: boolean;
  private readonly seeds: EndpointSeed[] = [];
  private readonly faults: { readonly reason: Reason; readonly message: string }[] = [];

  constructor(allowExternalTargets: boolean, trustsSlices: boolean) {
    this.allowExternalTargets = allowExternalTargets;
    this.trustsSlices = trustsSlices;
  }

  add({ source, name, host, port, labels, ports, ready }: Candidate): void {
    if (!this.allowExternalTargets && isForbiddenTarget(host)) {
      this.fault('NoMatch', `${source} is at ${host}, where no group may point without --allow-external-targets`);
      return;
    }
    const seed = { name: name.slice(0, longestName), address: hostAndPort(host, port), labels, ports };
    this.seeds.push(ready ? seed : { ...seed, discoveredReady: false });
  }

  /** Something that is wrong, as a sentence without a full stop that says what to do. */
  fault(reason: Reason, message: string): void {
    this.faults.push({ reason, message });
  }

  get references(): References {
    const { services, pools, pods, podSelector, serviceSelector } = this;
    return { services, pools, pods, podSelector, serviceSelector };
  }

  /** By name, each name and each address once. */
  get endpoints(): EndpointSeed[] {
    return onceEach(this.seeds);
  }

  /** The condition `Discovered` of a group with so many endpoints. */
  condition(count: number): Condition {
    const told = this.faults.slice(0, mostFaults).map(({ message }) => message);
    if (this.faults.length > mostFaults) told.push(`and ${this.faults.length - mostFaults} more like these`);
    if (count > 0) return met('Discovered', [`${count} endpoints`, ...told].join('; '));
    return unmet('Discovered', this.faults.at(0)?.reason ?? 'NoMatch', told.join('; '));
  }
}

/**
 * Watches lag behind each other, so for a moment two objects may claim one name or one address: a ready one wins over
 * one that is not, then the first by name and address.
 */
function onceEach(seeds: readonly EndpointSeed[]): EndpointSeed[] {
  const names = new Set<string>();
  const addresses = new Set<string>();
  const once: EndpointSeed[] = [];
  for (const seed of seeds.toSorted(byClaim)) {
    if (names.has(seed.name) || addresses.has(seed.address)) continue;
    names.add(seed.name);
    addresses.add(seed.address);
    once.push(seed);
  }
  return once.sort((a, b) => compare(a.name, b.name));
}

function byClaim(a: EndpointSeed, b: EndpointSeed): number {
  return rank(a) - rank(b) || compare(a.name, b.name) || compare(a.address, b.address);
}

const rank = ({ discoveredReady }: EndpointSeed): number => (discoveredReady === false ? 1 : 0);

/** By code units: the order of every machine, whatever its language. */
export function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
