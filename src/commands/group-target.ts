import type { BackendGroup } from '../api/backend-group.ts';
import { parseDuration } from '../api/duration.ts';
import type { GroupTarget } from '../datalayer/targets.ts';
import type { EndpointSeed } from '../router/endpoint.ts';
import type { Connection } from '../router/policy.ts';
import { keyOf } from '../controller/compile.ts';

/** What the datalayer is to watch for a group. */
export function groupTarget(
  group: BackendGroup,
  connection: Connection,
  endpoints: readonly EndpointSeed[],
): GroupTarget {
  const { spec, metadata } = group;
  const { metrics, health } = spec;
  const { scheme, ca, serverName, apiKey } = connection;
  const tls = { ...(ca === undefined ? {} : { ca }), ...(serverName === undefined ? {} : { serverName }) };
  return {
    key: keyOf(metadata),
    namespace: metadata.namespace ?? 'default',
    name: metadata.name,
    engine: spec.engine,
    endpoints,
    relays: leadersOf(spec.topology),
    scheme,
    ...(scheme === 'https' ? { tls } : {}),
    ...(apiKey === undefined ? {} : { apiKey }),
    learnModels: spec.models.length === 0,
    metrics: {
      interval: parseDuration(metrics.interval),
      timeout: parseDuration(metrics.timeout),
      path: metrics.path,
      staleAfter: parseDuration(metrics.staleAfter),
    },
    health: {
      path: health.path,
      interval: parseDuration(health.interval),
      timeout: parseDuration(health.timeout),
      failures: health.failures,
      successes: health.successes,
      passive: { ...health.passive, ejectFor: parseDuration(health.passive.ejectFor) },
    },
  };
}

/** Which endpoints are leaders; of groups that say nothing of pairs those that v25.12 labels so. */
function leadersOf(topology: BackendGroup['spec']['topology']): NonNullable<GroupTarget['relays']> {
  if (topology.type === 'Aggregate') return { label: 'openfuyao.com/pdRole', value: 'leader' };
  const { roleLabel, leaderValue } = topology.prefillDecode;
  return { label: roleLabel, value: leaderValue };
}
