import { isIP } from 'node:net';
import { fieldsOf, labelsOf, listOf, portOf, sameList, sameMap, textOf, type Fields, type Labels } from './fields.ts';
import { placeOf, type ObjectView } from './object-view.ts';

/** What discovery keeps of a Pod: a twentieth of it. */
export interface PodView extends ObjectView {
  readonly labels: Labels;
  /** Of every address family, the primary first; empty until the Pod's network is up. */
  readonly addresses: readonly string[];
  /** Named TCP ports of its containers. */
  readonly ports: Readonly<Record<string, number>>;
  /** Its condition Ready is True. */
  readonly ready: boolean;
  /** It has ended, or is being deleted. */
  readonly ending: boolean;
}

const noPorts: Readonly<Record<string, number>> = Object.freeze({});

/** Trims a Pod; null for what is none. Never throws. */
export function keepPod(object: unknown): PodView | null {
  const place = placeOf(object);
  if (place === null) return null;
  const { namespace, name, metadata } = place;
  const { spec, status: reported } = fieldsOf(object);
  const status = fieldsOf(reported);
  return {
    namespace,
    name,
    labels: labelsOf(metadata.labels),
    addresses: addressesOf(status),
    ports: portsOf(fieldsOf(spec)),
    ready: listOf(status.conditions).some(({ type, status: is }) => type === 'Ready' && is === 'True'),
    ending: textOf(metadata.deletionTimestamp) !== '' || status.phase === 'Succeeded' || status.phase === 'Failed',
  };
}

/** Whether two versions of a Pod are one to discovery: most changes of a Pod's status are of no concern. */
export function samePod(previous: PodView, next: PodView): boolean {
  return (
    previous.ready === next.ready &&
    previous.ending === next.ending &&
    sameList(previous.addresses, next.addresses, Object.is) &&
    sameMap(previous.labels, next.labels) &&
    sameMap(previous.ports, next.ports)
  );
}

function addressesOf({ podIP, podIPs }: Fields): readonly string[] {
  const listed = [textOf(podIP), ...listOf(podIPs).map(({ ip }) => textOf(ip))];
  return [...new Set(listed.filter((ip) => isIP(ip) !== 0))];
}

/** As kubelet resolves a named port: the first container that has the name. Sidecars are init containers that stay. */
function portsOf({ containers, initContainers }: Fields): Readonly<Record<string, number>> {
  const sidecars = listOf(initContainers).filter(({ restartPolicy }) => restartPolicy === 'Always');
  const ports = new Map<string, number>();
  for (const container of [...listOf(containers), ...sidecars]) {
    for (const { name, containerPort, protocol } of listOf(container.ports)) {
      const port = portOf(containerPort);
      const text = textOf(name);
      if (text === '' || port === 0 || ports.has(text) || (protocol ?? 'TCP') !== 'TCP') continue;
      ports.set(text, port);
    }
  }
  return ports.size === 0 ? noPorts : Object.fromEntries(ports);
}
