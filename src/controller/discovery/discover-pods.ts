import type { Labels } from './fields.ts';
import { compare, type Finding } from './finding.ts';
import type { NamespaceView } from './namespace.ts';
import type { PodView } from './pod-view.ts';

/** Which Pods, and which of their ports. */
export interface PodTargets {
  readonly selector: Labels;
  readonly targetPorts: readonly number[];
}

/**
 * Every port of every Pod that has the labels is an endpoint: engines with data parallelism listen on one port a rank.
 * With one port the endpoint is called as its Pod, with several `pod-8000`, so that a port keeps its name when others
 * come and go (the reference picker counts: `pod-rank-0`).
 */
export function discoverPods({ selector, targetPorts }: PodTargets, view: NamespaceView, finding: Finding): void {
  finding.podSelector = selector;
  const pods = view.podsWith(selector).toSorted((a, b) => compare(a.name, b.name));
  const usable = pods.filter(({ ending, addresses }) => !ending && addresses.length > 0);
  for (const pod of usable) addPod(pod, targetPorts, finding);
  if (usable.length > 0) return;
  const labels = Object.keys(selector)
    .map((key) => `${key}=${selector[key]}`)
    .join(',');
  if (pods.length === 0) finding.fault('NoMatch', `no Pod of the namespace has the labels ${labels}`);
  else finding.fault('NoMatch', `${pods.length} Pods have the labels ${labels}, but none runs and has an address`);
}

function addPod(pod: PodView, targetPorts: readonly number[], finding: Finding): void {
  const { name, labels, ports, ready } = pod;
  const [host] = pod.addresses;
  const source = `Pod ${name}`;
  for (const port of targetPorts) {
    const own = targetPorts.length === 1 ? name : withPort(name, port);
    finding.add({ source, name: own, host, port, labels, ports, ready });
  }
}

/** Leaves room for the port where the Pod's name is as long as names may be. */
const withPort = (name: string, port: number): string => `${name.slice(0, 247)}-${port}`;
