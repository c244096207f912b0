import {
  fieldsOf,
  flagOf,
  labelsOf,
  listOf,
  portOf,
  sameList,
  sameMap,
  textOf,
  textsOf,
  type Fields,
} from './fields.ts';
import { placeOf, type ObjectView } from './object-view.ts';

/** One endpoint of an EndpointSlice that is there to stay. */
export interface SliceEndpoint {
  /** An IP address, or a host name in a slice of type FQDN. */
  readonly address: string;
  /** The Pod behind it, of the slice's own namespace; empty where none is named. */
  readonly pod: string;
  readonly ready: boolean;
}

/** What discovery keeps of an EndpointSlice. */
export interface SliceView extends ObjectView {
  /** Name of the Service that it belongs to. */
  readonly service: string;
  /** IPv4, IPv6 or FQDN. */
  readonly family: string;
  /** TCP ports by name; the name is empty where the Service does not name its only one. */
  readonly ports: Readonly<Record<string, number>>;
  /** Without those that terminate. */
  readonly endpoints: readonly SliceEndpoint[];
}

/** Trims an EndpointSlice; null for what is none, or belongs to no Service. Never throws. */
export function keepEndpointSlice(object: unknown): SliceView | null {
  const place = placeOf(object);
  if (place === null) return null;
  const { namespace, name, metadata } = place;
  const service = labelsOf(metadata.labels)['kubernetes.io/service-name'] ?? '';
  if (service === '') return null;
  const { addressType, ports, endpoints } = fieldsOf(object);
  return {
    namespace,
    name,
    service,
    family: textOf(addressType),
    ports: portsOf(ports),
    endpoints: listOf(endpoints).flatMap((endpoint) => sliceEndpoint(endpoint, namespace)),
  };
}

/** Whether two versions of an EndpointSlice are one to discovery. */
export function sameSlice(previous: SliceView, next: SliceView): boolean {
  return (
    previous.service === next.service &&
    previous.family === next.family &&
    sameMap(previous.ports, next.ports) &&
    sameList(previous.endpoints, next.endpoints, sameEndpoint)
  );
}

const sameEndpoint = (a: SliceEndpoint, b: SliceEndpoint): boolean =>
  a.address === b.address && a.pod === b.pod && a.ready === b.ready;

/** A port without a number means every port, which is no place to send a request to. */
function portsOf(value: unknown): Readonly<Record<string, number>> {
  const ports = listOf(value).flatMap(({ name, port, protocol }): [string, number][] => {
    const number = portOf(port);
    return number === 0 || (protocol ?? 'TCP') !== 'TCP' ? [] : [[textOf(name), number]];
  });
  return Object.fromEntries(ports);
}

/**
 * The API's rules: unknown readiness is ready, unknown termination is none. `ready` stays true for a Service that
 * publishes addresses which are not ready, so it beats `serving`. Addresses after the first have no meaning.
 */
function sliceEndpoint({ addresses, conditions, targetRef }: Fields, namespace: string): SliceEndpoint[] {
  const { ready, serving, terminating } = fieldsOf(conditions);
  const address = textsOf(addresses).at(0) ?? '';
  if (address === '' || flagOf(terminating) === true) return [];
  const target = fieldsOf(targetRef);
  const ours = target.kind === 'Pod' && (target.namespace ?? namespace) === namespace;
  return [{ address, pod: ours ? textOf(target.name) : '', ready: flagOf(ready) ?? flagOf(serving) ?? true }];
}
