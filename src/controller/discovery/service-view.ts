import { isIP } from 'node:net';
import { fieldsOf, labelsOf, listOf, portOf, sameList, sameMap, textOf, textsOf, type Labels } from './fields.ts';
import { placeOf, type ObjectView } from './object-view.ts';

/** A TCP port of a Service. */
export interface ServicePort {
  /** Empty where the Service has only one and does not name it. */
  readonly name: string;
  readonly number: number;
}

/** What discovery keeps of a Service. */
export interface ServiceView extends ObjectView {
  readonly labels: Labels;
  /** The Service's own address; empty for a headless one and for ExternalName. */
  readonly clusterIP: string;
  /** That address, and the one of its second address family; none for a headless one. */
  readonly clusterIPs: readonly string[];
  /** Its address family comes first where there are two; empty where the Service does not say. */
  readonly family: string;
  readonly ports: readonly ServicePort[];
  readonly hasSelector: boolean;
  /** The name that stands for another one outside, for a Service of type ExternalName. */
  readonly externalName: string;
}

/** Trims a Service; null for what is none. Never throws. */
export function keepService(object: unknown): ServiceView | null {
  const place = placeOf(object);
  if (place === null) return null;
  const { namespace, name, metadata } = place;
  const spec = fieldsOf(fieldsOf(object).spec);
  const clusterIP = textOf(spec.clusterIP);
  return {
    namespace,
    name,
    labels: labelsOf(metadata.labels),
    clusterIP: isIP(clusterIP) === 0 ? '' : clusterIP,
    clusterIPs: [...new Set([clusterIP, ...textsOf(spec.clusterIPs)])].filter((ip) => isIP(ip) !== 0),
    family: textsOf(spec.ipFamilies).at(0) ?? '',
    ports: listOf(spec.ports).flatMap(servicePort),
    hasSelector: Object.keys(fieldsOf(spec.selector)).length > 0,
    externalName: spec.type === 'ExternalName' ? textOf(spec.externalName) : '',
  };
}

/** Whether two versions of a Service are one to discovery. */
export function sameService(previous: ServiceView, next: ServiceView): boolean {
  return (
    previous.clusterIP === next.clusterIP &&
    previous.family === next.family &&
    sameList(previous.clusterIPs, next.clusterIPs, Object.is) &&
    previous.hasSelector === next.hasSelector &&
    previous.externalName === next.externalName &&
    sameMap(previous.labels, next.labels) &&
    sameList(previous.ports, next.ports, samePort)
  );
}

const samePort = (a: ServicePort, b: ServicePort): boolean => a.name === b.name && a.number === b.number;

function servicePort({ name, port, protocol }: Readonly<Record<string, unknown>>): ServicePort[] {
  const number = portOf(port);
  return number === 0 || (protocol ?? 'TCP') !== 'TCP' ? [] : [{ name: textOf(name), number }];
}
