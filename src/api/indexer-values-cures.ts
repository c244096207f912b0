import type { Fault } from './check.ts';
import { asPort, asSeconds, valueAt, type Cure } from './cures.ts';
import { isObject } from './schema-node.ts';

const cures: Readonly<Record<string, Cure>> = {
  'app.serviceDiscovery.refreshInterval': asSeconds,
  'app.serviceDiscovery.inferencePort': asPort,
  'service.port': asPort,
  'app.serviceDiscovery.labelSelector': asSelector,
};

/** The fault with a cure that fits what people write, where there is one. */
export function curesOf(fault: Fault, document: unknown): Fault {
  const cure = Object.hasOwn(cures, fault.path) ? cures[fault.path](valueAt(document, fault.path)) : null;
  return cure === null ? fault : { ...fault, cure };
}

/** Labels as a map, as other configurations have them; or a selector that asks for more than equality. */
function asSelector(value: unknown): string | null {
  if (isObject(value)) {
    const pairs = Object.entries(value).map(([key, label]) => (typeof label === 'string' ? `${key}=${label}` : null));
    return pairs.length === 0 || pairs.includes(null) ? null : `write "${pairs.join(',')}", in one text`;
  }
  if (typeof value === 'string' && /!|\b(not)?in\b|^[^=]+$/.test(value))
    return 'write labels and their values, as in `app=vllm,tier=gold`; sets and negations are not understood';
  return null;
}
