import type { BackendGroup } from '../../api/backend-group.ts';
import type { EventTarget } from '../../indexer/events/target.ts';
import type { EndpointSeed } from '../../router/endpoint.ts';

/** How a group's engines publish KV events. */
export interface EventSettings {
  /** Names of ports. */
  readonly portName: string;
  readonly replayPortName: string;
  /** Prefix of the topic. */
  readonly topic: string;
}

/** What engines are started with where a group does not say otherwise. */
export const usualEvents: EventSettings = { portName: 'zmq-pub', replayPortName: 'zmq-replay', topic: 'kv-events' };

/**
 * How the engines of a group publish KV events; null for a group without. One that asks a KV manager says nothing of
 * them: this may be that manager.
 */
export function eventSettingsOf({ spec: { kvCache } }: BackendGroup): EventSettings | null {
  if (kvCache.type === 'Events') return kvCache.events;
  return kvCache.type === 'Manager' ? usualEvents : null;
}

/** An engine of a group that is to be followed. */
export interface FollowedEngine {
  readonly group: string;
  readonly seed: EndpointSeed;
  readonly settings: EventSettings;
  /** Whether its API can be asked where its events are: it is plain HTTP. */
  readonly plain: boolean;
}

/** The label by which openFuyao tells how many data-parallel ranks a pod has. */
const ranksLabel = 'openfuyao.com/dpSize';
const mostRanks = 256;

/** What to subscribe to for an engine, or why there is nothing. */
export function eventTargetOf(engine: FollowedEngine): EventTarget | { readonly reason: string } {
  const { group, seed, settings, plain } = engine;
  const eventsPort = portOf(seed, settings.portName);
  if (eventsPort === null) return { reason: `none of its ports is called ${settings.portName}` };
  return {
    key: `${group}/${seed.name} ${seed.address}`,
    host: hostOf(seed.address),
    eventsPort,
    replayPort: portOf(seed, settings.replayPortName),
    ranks: ranksOf(seed.labels[ranksLabel]),
    topic: settings.topic,
    api: plain ? seed.address : null,
  };
}

function portOf({ ports }: EndpointSeed, name: string): number | null {
  return Object.hasOwn(ports, name) ? ports[name] : null;
}

/** Of `host:port` or `[v6]:port`, without brackets. */
function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(':')).replace(/^\[(.*)\]$/, '$1');
}

function ranksOf(label: string | undefined): number {
  const ranks = /^[0-9]{1,3}$/.test(label ?? '') ? Number(label) : 1;
  return Math.min(mostRanks, Math.max(1, ranks));
}
