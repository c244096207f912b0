import { compare, type Finding } from './finding.ts';
import type { Labels } from './fields.ts';
import type { NamespaceView } from './namespace.ts';
import type { ServicePort, ServiceView } from './service-view.ts';
import type { SliceEndpoint, SliceView } from './slice-view.ts';

/** One Service by name, or several by label, and the number of a port that they have. */
export interface ServiceTargets {
  readonly name?: string | undefined;
  readonly selector?: { readonly matchLabels: Labels } | undefined;
  readonly port: number;
}

const noLabels: Labels = Object.freeze({});
const noPorts: Readonly<Record<string, number>> = Object.freeze({});
const unknownPod = { labels: noLabels, ports: noPorts, ending: false };

/**
 * The endpoints behind Services, by their EndpointSlices. The port is that of the Service; the slices say which it is
 * on each endpoint. A Service that has no slice at all is an endpoint itself, at its own address.
 */
export function discoverServices(targets: ServiceTargets, view: NamespaceView, finding: Finding): void {
  for (const service of chosen(targets, view, finding)) {
    finding.services.add(service.name);
    discoverService(service, targets.port, view, finding);
  }
}

function chosen({ name, selector }: ServiceTargets, view: NamespaceView, finding: Finding): readonly ServiceView[] {
  if (name !== undefined) {
    finding.services.add(name);
    const service = view.service(name);
    if (service === undefined) finding.fault('NoMatch', `no Service of the namespace is called ${name}`);
    return service === undefined ? [] : [service];
  }
  const labels = selector?.matchLabels ?? noLabels;
  finding.serviceSelector = labels;
  const services = view.servicesWith(labels).toSorted((a, b) => compare(a.name, b.name));
  if (services.length === 0) {
    const wanted = Object.keys(labels)
      .map((key) => `${key}=${labels[key]}`)
      .join(',');
    finding.fault('NoMatch', `no Service of the namespace has the labels ${wanted}`);
  }
  return services;
}

function discoverService(service: ServiceView, number: number, view: NamespaceView, finding: Finding): void {
  const refusal = finding.allowExternalTargets ? null : refusalOf(service);
  if (refusal !== null) {
    finding.fault('NoMatch', refusal);
    return;
  }
  if (service.externalName !== '') {
    addSelf(service, service.externalName, number, finding);
    return;
  }
  const port = service.ports.find((candidate) => candidate.number === number);
  if (port === undefined) {
    finding.fault('PortNotFound', portMissing(service, number));
    return;
  }
  const slices = view.slicesOf(service.name);
  if (slices.length > 0) addSlices(slices, { service, port, view, finding });
  else if (service.clusterIP !== '') addSelf(service, service.clusterIP, number, finding);
  else finding.fault('NoMatch', `the headless Service ${service.name} has no EndpointSlices`);
}

/**
 * Why a Service may not be connected to at an address that its name has led to, or null. A name may mean anything for as
 * long as a resolver remembers it: so the address must be the Service's own, or, of a headless one, that of a Pod.
 */
export function serviceRefusal(name: string, address: string, view: NamespaceView): string | null {
  const service = view.service(name);
  if (service === undefined) return `no Service of the namespace is called ${name}`;
  const refusal = refusalOf(service);
  if (refusal !== null) return refusal;
  const { clusterIPs } = service;
  if (clusterIPs.length > 0 ? clusterIPs.includes(address) : view.hasPodAt(address)) return null;
  return `the Service ${name} is not at ${address}`;
}

/** Why a Service may lead out of the cluster, or null. */
function refusalOf({ name, externalName, hasSelector }: ServiceView): string | null {
  const cure = 'which is allowed with --allow-external-targets only';
  if (externalName !== '') return `the Service ${name} is an ExternalName, ${cure}`;
  return hasSelector ? null : `the Service ${name} has no selector, so that its endpoints are written by hand, ${cure}`;
}

function portMissing({ name, ports }: ServiceView, number: number): string {
  const known = ports.map((port) => port.number).join(', ');
  return `the Service ${name} has no TCP port ${number}${known === '' ? '' : ` (it has ${known})`}`;
}

/** The Service as one endpoint; nobody but its proxy knows what is ready behind it. */
function addSelf({ name }: ServiceView, host: string, port: number, finding: Finding): void {
  finding.add({ source: `the Service ${name}`, name, host, port, labels: noLabels, ports: noPorts, ready: true });
}

interface Behind {
  readonly service: ServiceView;
  readonly port: ServicePort;
  readonly view: NamespaceView;
  readonly finding: Finding;
}

function addSlices(all: readonly SliceView[], behind: Behind): void {
  const { service, port, finding } = behind;
  // A Service of two address families has a slice for each, with the same Pods: its first family is the one to use.
  const slices = all.filter(({ family }) => service.family === '' || family === 'FQDN' || family === service.family);
  const endpoints = slices.flatMap((slice) =>
    slice.endpoints.map((endpoint) => ({ endpoint, number: slice.ports[port.name] })),
  );
  const found = endpoints.filter(({ number }) => number > 0);
  for (const { endpoint, number } of found) addEndpoint(endpoint, number, behind);
  if (found.length > 0) return;
  if (endpoints.length === 0) finding.fault('NoMatch', `the Service ${service.name} has no endpoints`);
  else
    finding.fault(
      'PortNotFound',
      `nothing behind the Service ${service.name} has its port ${port.name || port.number}`,
    );
}

function addEndpoint({ address, pod, ready }: SliceEndpoint, port: number, behind: Behind): void {
  const { view, finding, service } = behind;
  if (pod === '') {
    if (!finding.trustsSlices) {
      finding.fault('NoMatch', byHand(service.name, address, 'which is no Pod of the namespace'));
      return;
    }
    const source = `an endpoint of the Service ${service.name}`;
    finding.add({ source, name: nameOf(address, port), host: address, port, labels: noLabels, ports: noPorts, ready });
    return;
  }
  finding.pods.add(pod);
  const known = view.pod(pod);
  const isItsOwn = known?.addresses.includes(address) === true;
  // A Pod's address is its kubelet's word; that of a slice is the word of whoever may write slices.
  if (!isItsOwn && !finding.trustsSlices) {
    finding.fault('NoMatch', byHand(service.name, address, `where no Pod ${pod} of the namespace is`));
    return;
  }
  // A Pod that is made anew under its name has another address, and the slice still speaks of the one before.
  const { labels, ports, ending } = isItsOwn ? known : unknownPod;
  if (!ending) finding.add({ source: `Pod ${pod}`, name: pod, host: address, port, labels, ports, ready });
}

const byHand = (service: string, address: string, what: string): string =>
  `an EndpointSlice of the Service ${service} names ${address}, ${what}: that is allowed with --allow-external-targets only`;

/** A DNS name for an endpoint that has none: `at-10-0-0-7-8000`. */
function nameOf(address: string, port: number): string {
  return `at-${address
    .toLowerCase()
    .replace(/[^a-z0-9]/g, '-')
    .slice(0, 244)}-${port}`;
}
