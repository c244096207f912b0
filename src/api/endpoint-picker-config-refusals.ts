import type { Findings } from './endpoint-picker-config-findings.ts';
import { endpointsFound, queues } from './endpoint-picker-config-foreign.ts';
import type { PickerDocument } from './endpoint-picker-config-schema.ts';
import { nearest } from './nearest.ts';

const replica = 'remove it: replicas decide by what the engines themselves tell';

/** Fields that are known but not supported, and what to do about them. */
const fields: readonly (readonly [section: 'flowControl' | 'dataLayer' | 'data', field: string, cure: string])[] = [
  ...[
    'maxBytes',
    'maxRequests',
    'defaultRequestTTL',
    'noEndpointRequestTTL',
    'defaultPriorityBand',
    'defaultNegativePriorityBand',
    'priorityBands',
    'usageLimitPolicyPluginRef',
    'enableEviction',
  ].map((field) => ['flowControl', field, queues] as const),
  ...(['dataLayer', 'data'] as const).flatMap((section) => [
    [section, 'discovery', endpointsFound] as const,
    ...[
      'peerDiscovery',
      'crossReplica',
      'crossReplicaSyncerPluginRef',
      'crossReplicaSyncInterval',
      'crossReplicaPublishTimeout',
    ].map((field) => [section, field, replica] as const),
  ]),
];

/** Feature gates of the reference picker; null for those whose feature is here anyway. */
const gates: Readonly<Record<string, string | null>> = {
  flowControl: queues,
  dataLayer: null,
  prepareDataPlugins: null,
  haPopulateNonLeaderDatastore: null,
  enableLegacyMetrics: 'remove it: metrics are read in one way only',
  experimentalDatalayer: null,
};

/** Faults for everything that is known and asks for what is not here. */
export function refuseUnsupported(document: PickerDocument, found: Findings): void {
  for (const [section, field, cure] of fields) {
    const given: Readonly<Record<string, unknown>> = document[section] ?? {};
    if (given[field] !== undefined) found.fault(`${section}.${field}`, 'is not supported', cure);
  }
  for (const section of ['dataLayer', 'data'] as const) {
    if (document[section]?.injectDefaults === false)
      found.fault(
        `${section}.injectDefaults`,
        'is false, which is not supported',
        "remove it: the engines' metrics are always read",
      );
  }
  (document.featureGates ?? []).forEach((gate, i) => refuseGate(gate, `featureGates[${i}]`, found));
}

function refuseGate(gate: string, path: string, found: Findings): void {
  const [name, value = 'true'] = gate.split('=').map((part) => part.trim());
  if (!/^(true|false)$/i.test(value)) {
    found.fault(path, `is ${JSON.stringify(gate)}`, `write \`${name}\` or \`${name}=false\``);
    return;
  }
  if (!Object.hasOwn(gates, name)) {
    const near = nearest(name, Object.keys(gates));
    const hint = near === null ? '' : `did you mean \`${near}\`? `;
    found.fault(path, `is ${JSON.stringify(name)}, which is no feature gate`, `${hint}remove it`);
    return;
  }
  const cure = gates[name];
  const asked = value.toLowerCase() === 'true';
  if (cure !== null && asked) found.fault(path, `asks for ${name}, which is not supported`, cure);
  else if (cure === null) found.note(path, `has no effect: what ${name} switches is always on here`);
}
