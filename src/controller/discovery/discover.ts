import type { BackendGroup } from '../../api/backend-group.ts';
import { unmet } from '../conditions.ts';
import { StaticDiscovery, type Found } from '../found.ts';
import { discoverPods } from './discover-pods.ts';
import { discoverServices } from './discover-service.ts';
import { Finding, type References } from './finding.ts';
import type { NamespaceView } from './namespace.ts';

/** What discovery found for a group, and what it read for it. */
export interface Discovered extends Found {
  readonly references: References;
}

const fixed = new StaticDiscovery();

/**
 * The endpoints of a group in a cluster: pure, in the order of their names. `view` is the group's own namespace.
 * `allowExternalTargets` lifts the limits on what a group may point at, `trustsSlices` the one that an endpoint behind a
 * Service is a Pod.
 */
export function discover(
  group: BackendGroup,
  view: NamespaceView,
  allowExternalTargets: boolean,
  trustsSlices = allowExternalTargets,
): Discovered {
  const finding = new Finding(allowExternalTargets, trustsSlices);
  const { discovery } = group.spec;
  switch (discovery.type) {
    case 'Static':
      return { ...(allowExternalTargets ? fixed.find(group) : refusedStatic), references: finding.references };
    case 'Service':
      discoverServices(discovery.service, view, finding);
      break;
    case 'InferencePool':
      discoverPool(discovery.inferencePool.name, view, finding);
      break;
    case 'Pods':
      discoverPods(
        {
          selector: discovery.pods.selector.matchLabels,
          targetPorts: discovery.pods.targetPorts.map(({ number }) => number),
        },
        view,
        finding,
      );
  }
  const seeds = finding.endpoints;
  return { seeds, condition: finding.condition(seeds.length), references: finding.references };
}

const refusedStatic: Found = {
  seeds: [],
  condition: unmet(
    'Discovered',
    'NoMatch',
    'discovery Static is allowed in a cluster with --allow-external-targets only; use Pods, Service or InferencePool',
  ),
};

function discoverPool(name: string, view: NamespaceView, finding: Finding): void {
  finding.pools.add(name);
  const pool = view.pool(name);
  if (pool === undefined) finding.fault('NoMatch', `no InferencePool of the namespace is called ${name}`);
  else if (pool.targetPorts.length === 0)
    finding.fault('PortNotFound', `the InferencePool ${name} has no target ports`);
  else if (Object.keys(pool.selector).length === 0)
    finding.fault('NoMatch', `the InferencePool ${name} selects nothing`);
  else discoverPods(pool, view, finding);
}
