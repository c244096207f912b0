import { keepEndpointSlice, sameSlice, type SliceView } from '../../controller/discovery/slice-view.ts';
import type { KubeClient } from '../../controller/kube/contract.ts';
import { Reflector } from '../../controller/kube/reflector.ts';
import type { Peer } from '../../controller/peers/peers.ts';
import type { Log } from '../../observability/log.ts';
import type { Clock } from '../../router/clock.ts';

/** Where the other replicas are. */
export interface PeerSource {
  readonly current: () => readonly Peer[];
  close(): void;
}

/** A fixed list of `host:port`, for replicas outside of a cluster. */
export function fixedPeers(addresses: readonly string[]): PeerSource {
  const peers = addresses.map((address) => ({ address, name: null }));
  return { current: () => peers, close: () => undefined };
}

/** The ready endpoints of the headless Service of the router's admin ports, in the router's own namespace. */
export function servicePeers(
  client: KubeClient,
  service: string,
  { clock, log }: { clock: Clock; log: Log },
): PeerSource {
  const reflector = new Reflector<SliceView>({
    client,
    path: `/apis/discovery.k8s.io/v1/namespaces/${encodeURIComponent(client.namespace)}/endpointslices`,
    query: { labelSelector: `kubernetes.io/service-name=${service}` },
    keep: keepEndpointSlice,
    changed: (previous, next) => !sameSlice(previous, next),
    onChange: () => undefined,
    onState: () => undefined,
    clock,
    log,
    random: Math.random,
  });
  reflector.start();
  return {
    current: () => [...reflector.items.values()].flatMap(peersOf),
    close: () => reflector.close(),
  };
}

function peersOf({ family, ports, endpoints }: SliceView): Peer[] {
  const [port] = Object.values(ports);
  if (port === undefined) return [];
  return endpoints
    .filter(({ ready }) => ready)
    .map(({ address, pod }) => ({
      address: family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`,
      name: pod === '' ? null : pod,
    }));
}
