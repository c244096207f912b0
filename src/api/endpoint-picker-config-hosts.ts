import type { Declared } from './endpoint-picker-config-declared.ts';
import type { Findings } from './endpoint-picker-config-findings.ts';
import { hostPattern } from '../policies/kv-manager.ts';
import { literal } from './endpoint-picker-config-manager.ts';

const looksRight = new RegExp(hostPattern);

/** Faults for addresses that have the right letters and are none: 10.0.0.256. */
export function checkHosts(plugins: Iterable<Declared>, found: Findings): void {
  for (const { path, parameters } of plugins) {
    const { kvCacheManagerIP: host } = parameters;
    if (typeof host !== 'string' || !looksRight.test(host) || URL.canParse(`http://${literal(host)}`)) continue;
    const cure = 'write an IP address or a name, without scheme, port and path';
    found.fault(`${path}.parameters.kvCacheManagerIP`, `is ${host}, which is no address`, cure, 'InvalidParameters');
  }
}
