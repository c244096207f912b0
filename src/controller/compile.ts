import type { BackendGroup as GroupResource } from '../api/backend-group.ts';
import { parseDuration } from '../api/duration.ts';
import type { RoutingPolicy as PolicyResource } from '../api/routing-policy.ts';
import { expandStrategy } from '../api/strategy.ts';
import { buildProfile, ProfileError } from '../policies/build.ts';
import type { PluginContext } from '../policies/definition.ts';
import type { Registry } from '../policies/registry.ts';
import type { Endpoint } from '../router/endpoint.ts';
import type {
  Backend,
  BackendGroup,
  Connection,
  ManagerLookup,
  PolicyMatch,
  RoutingPolicy,
  Timeouts,
} from '../router/policy.ts';
import type { PrefixSource } from '../router/prefix.ts';
import type { SchedulingProfile } from '../router/profile.ts';
import { RoutingTable } from '../router/table.ts';
import { met, unmet, type Condition, type Verdict } from './conditions.ts';

/** A policy that was never valid: its requests are refused, so that a wider policy does not take them. */
export interface BrokenPolicy {
  readonly namespace: string;
  readonly name: string;
  readonly created: number;
  readonly match: PolicyMatch;
  /** Names of the backends, as far as they can be read: a policy without a match takes what those serve. */
  readonly backends: readonly string[];
}

/** An accepted policy and when it was made, in milliseconds since 1970 (0 in files). */
export interface AcceptedPolicy {
  readonly resource: PolicyResource;
  readonly created: number;
}

/** What the resources do not say themselves: endpoints found, models learned, secrets resolved. */
export interface GroupSurroundings {
  readonly endpoints: readonly Endpoint[];
  readonly learnedModels: readonly string[];
  readonly connection: Connection;
  readonly prefixSource: PrefixSource;
  readonly managerLookup?: ManagerLookup;
  /** Why the group's discovery does not work here, or null. */
  readonly unsupported: string | null;
}

export interface CompileInput {
  readonly generation: number;
  readonly groups: readonly GroupResource[];
  readonly policies: readonly AcceptedPolicy[];
  readonly broken: readonly BrokenPolicy[];
  readonly surroundings: (key: string) => GroupSurroundings;
}

export interface Compiled {
  readonly table: RoutingTable;
  readonly verdicts: readonly Verdict[];
}

/** `namespace/name` of a resource. */
export function keyOf(metadata: { readonly name: string; readonly namespace?: string }): string {
  return `${metadata.namespace ?? 'default'}/${metadata.name}`;
}

/** Resources → frozen routing table. Pure: files and clusters go through this one function. */
export function compile(input: CompileInput, registry: Registry, context: PluginContext): Compiled {
  const verdicts: Verdict[] = [];
  const groups = new Map<string, BackendGroup>();
  for (const resource of input.groups) {
    const key = keyOf(resource.metadata);
    const surroundings = input.surroundings(key);
    groups.set(key, compileGroup(key, resource, surroundings));
    verdicts.push({
      kind: 'BackendGroup',
      key,
      conditions: [met('Accepted', 'the group is valid'), discovered(surroundings)],
    });
  }
  const policies: RoutingPolicy[] = input.broken.map((broken) => refusingPolicy(broken, groups));
  for (const accepted of input.policies) {
    const { policy, conditions } = compilePolicy(accepted, groups, (spec) => buildProfile(spec, registry, context));
    policies.push(policy);
    verdicts.push({ kind: 'RoutingPolicy', key: policy.key, conditions });
  }
  return { table: new RoutingTable(input.generation, policies, groups), verdicts };
}

function discovered(surroundings: GroupSurroundings): Condition {
  if (surroundings.unsupported !== null) return unmet('Discovered', 'NoMatch', surroundings.unsupported);
  const { length } = surroundings.endpoints;
  return length > 0
    ? met('Discovered', `${length} endpoints`)
    : unmet('Discovered', 'NoMatch', 'no endpoint was found; check discovery');
}

function compileGroup(key: string, resource: GroupResource, surroundings: GroupSurroundings): BackendGroup {
  const { spec, metadata } = resource;
  const declared = spec.models.length > 0;
  const { managerLookup } = surroundings;
  return Object.freeze({
    key,
    namespace: metadata.namespace ?? 'default',
    name: metadata.name,
    models: Object.freeze(declared ? [...spec.models] : [...surroundings.learnedModels]),
    modelsDeclared: declared,
    endpoints: surroundings.endpoints,
    prefixSource: surroundings.prefixSource,
    connection: surroundings.connection,
    ...(managerLookup === undefined ? {} : { managerLookup }),
  });
}

type Build = (spec: ReturnType<typeof expandStrategy>) => SchedulingProfile;

function compilePolicy(
  accepted: AcceptedPolicy,
  groups: ReadonlyMap<string, BackendGroup>,
  build: Build,
): { policy: RoutingPolicy; conditions: Condition[] } {
  const { spec, metadata } = accepted.resource;
  const namespace = metadata.namespace ?? 'default';
  const missing: string[] = [];
  const backends: Backend[] = [];
  for (const ref of spec.backendRefs) {
    const group = groups.get(`${namespace}/${ref.name}`);
    if (group === undefined) missing.push(ref.name);
    else backends.push(Object.freeze({ group, weight: ref.weight, rewriteModel: ref.rewriteModel ?? null }));
  }
  const { profile, condition } = profileOf(spec.strategy, build);
  const policy: RoutingPolicy = Object.freeze({
    key: keyOf(metadata),
    namespace,
    name: metadata.name,
    created: accepted.created,
    match: Object.freeze({
      models: Object.freeze([...spec.match.models]),
      headers: Object.freeze(spec.match.headers.map(({ name, value }) => ({ name: name.toLowerCase(), value }))),
    }),
    backends: Object.freeze(backends),
    profile,
    timeouts: Object.freeze(timeoutsOf(spec.timeouts)),
    retries: Object.freeze({ ...spec.retries }),
    debugHeaders: spec.debug.headers,
  });
  return { policy, conditions: [condition, refsCondition(missing)] };
}

function profileOf(
  strategy: PolicyResource['spec']['strategy'],
  build: Build,
): { profile: SchedulingProfile | null; condition: Condition } {
  try {
    return { profile: build(expandStrategy(strategy)), condition: met('Accepted', 'the policy is valid') };
  } catch (error) {
    if (!(error instanceof ProfileError)) throw error;
    return { profile: null, condition: unmet('Accepted', error.reason, `${error.path}: ${error.message}`) };
  }
}

function refsCondition(missing: readonly string[]): Condition {
  if (missing.length === 0) return met('ResolvedRefs', 'every backend exists');
  const message = `no BackendGroup is called ${missing.join(', ')} in this namespace; their share goes to the other backends`;
  return unmet('ResolvedRefs', 'BackendGroupNotFound', message);
}

function timeoutsOf(timeouts: PolicyResource['spec']['timeouts']): Timeouts {
  return {
    connect: parseDuration(timeouts.connect),
    firstByte: parseDuration(timeouts.firstByte),
    streamIdle: parseDuration(timeouts.streamIdle),
    nonStreaming: parseDuration(timeouts.nonStreaming),
    request: parseDuration(timeouts.request),
  };
}

/** Takes its requests and answers 503: there is no profile to run. */
function refusingPolicy(broken: BrokenPolicy, groups: ReadonlyMap<string, BackendGroup>): RoutingPolicy {
  const found = broken.backends
    .map((name) => groups.get(`${broken.namespace}/${name}`))
    .filter((group) => group !== undefined);
  return Object.freeze({
    key: `${broken.namespace}/${broken.name}`,
    namespace: broken.namespace,
    name: broken.name,
    created: broken.created,
    match: broken.match,
    backends: found.map((group) => ({ group, weight: 1, rewriteModel: null })),
    profile: null,
    timeouts: { connect: 0, firstByte: 0, streamIdle: 0, nonStreaming: 0, request: 0 },
    retries: { attempts: 0, on: [], budget: { percent: 0, minPerSecond: 0 } },
    debugHeaders: false,
  });
}
