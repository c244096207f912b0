import type { BackendGroup as GroupResource } from '../api/backend-group.ts';
import { parseDuration } from '../api/duration.ts';
import type { RoutingPolicy as PolicyResource } from '../api/routing-policy.ts';
import { expandStrategy, type ExpandedStrategy } from '../api/strategy.ts';
import { buildProfile, ProfileError } from '../policies/build.ts';
import type { PluginContext, ProfileSpec } from '../policies/definition.ts';
import type { Registry } from '../policies/registry.ts';
import type { Endpoint } from '../router/endpoint.ts';
import type { Backend, BackendGroup, Connection, PolicyMatch, RoutingPolicy, Timeouts } from '../router/policy.ts';
import type { ManagerLookup, TokenLookup } from '../router/foreknowledge.ts';
import { noPrefixSource, type PrefixSource } from '../router/prefix.ts';
import type { SchedulingProfile } from '../router/profile.ts';
import { RoutingTable } from '../router/table.ts';
import type { BackendRef } from '../api/backend-refs.ts';
import { claimedSince, notYetDated, type ClaimHistory } from './claims.ts';
import { mismatchOf, pairsCondition, topologyOf, type FrontDoorKind, type Mismatch, type Profiles } from './pairs.ts';
import { met, unmet, type Condition, type Verdict } from './conditions.ts';
import { groupsOfPools, refKey } from './pools/pool-ref.ts';
import { refsCondition, type Referent } from './references.ts';

/** A policy that was never valid: its requests are refused, so that a wider policy does not take them. */
export interface BrokenPolicy {
  readonly namespace: string;
  readonly name: string;
  readonly created: number;
  readonly match: PolicyMatch;
  /** Its backends, as far as they can be read: a policy without a match takes what those serve. */
  readonly backends: readonly Pick<BackendRef, 'kind' | 'name'>[];
}

/** A group that was never valid: nothing is sent there, and a policy without a match takes its models all the same. */
export interface BrokenGroup {
  readonly namespace: string;
  readonly name: string;
  /** Those that it declares, as far as they can be read. */
  readonly models: readonly string[];
}

/** An accepted policy and when it was made, in milliseconds since 1970 (0 in files). */
export interface AcceptedPolicy {
  readonly resource: PolicyResource;
  readonly created: number;
  /** Of its claims on models; absent where there is no time, as in files. */
  readonly history?: ClaimHistory;
}

/** What the resources do not say themselves: endpoints found, models learned, secrets resolved. */
export interface GroupSurroundings {
  readonly endpoints: readonly Endpoint[];
  readonly learnedModels: readonly string[];
  readonly connection: Connection;
  readonly prefixSource: PrefixSource;
  readonly managerLookup?: ManagerLookup;
  readonly tokenLookup?: TokenLookup;
  /** What became of the group's discovery. */
  readonly discovered: Condition;
  /** Since when the group says what it says, in milliseconds since 1970; absent in files. */
  readonly declaredSince?: number | undefined;
}

export interface CompileInput {
  readonly generation: number;
  readonly groups: readonly GroupResource[];
  readonly policies: readonly AcceptedPolicy[];
  readonly broken: readonly BrokenPolicy[];
  readonly brokenGroups?: readonly BrokenGroup[];
  readonly surroundings: (key: string, resource: GroupResource) => GroupSurroundings;
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
export function compile(
  input: CompileInput,
  registry: Registry,
  context: PluginContext,
  frontDoor?: FrontDoorKind,
): Compiled {
  return new Compiler(registry, context, frontDoor).compile(input);
}

interface MadeGroup {
  readonly surroundings: GroupSurroundings;
  readonly group: BackendGroup;
  readonly conditions: readonly Condition[];
}

interface MadePolicy {
  readonly accepted: AcceptedPolicy;
  /** Keys of the backends, and what they lead to. */
  readonly refKeys: readonly string[];
  readonly refs: readonly (Referent | undefined)[];
  /** Null where the strategy is at fault. */
  readonly profiles: Profiles | null;
  readonly policy: RoutingPolicy;
  readonly verdict: Verdict;
}

type Strategy = PolicyResource['spec']['strategy'];

interface MadeProfiles {
  readonly profiles: Profiles | null;
  /** Accepted. */
  readonly condition: Condition;
}

/**
 * Compiles again and again and makes anew only what has changed: of thousands of resources one changes at a time. The
 * outcome is the one of a first compilation. A policy whose spec stays keeps its profile, and with it a picker's place.
 */
export class Compiler {
  private readonly registry: Registry;
  private readonly context: PluginContext;
  private readonly frontDoor: FrontDoorKind;
  // By the very resource, so that thousands of unchanged ones cost no key each.
  private groups = new Map<GroupResource, MadeGroup>();
  private policies = new Map<PolicyResource, MadePolicy>();
  private broken = new Map<string, Referent>();

  constructor(registry: Registry, context: PluginContext, frontDoor: FrontDoorKind = { handsOver: true }) {
    this.registry = registry;
    this.context = context;
    this.frontDoor = frontDoor;
  }

  compile(input: CompileInput): Compiled {
    const verdicts: Verdict[] = [];
    const madeGroups = new Map<GroupResource, MadeGroup>();
    const groups = new Map<string, BackendGroup>();
    for (const resource of input.groups) {
      const made = this.group(resource, input);
      madeGroups.set(resource, made);
      groups.set(made.group.key, made.group);
      verdicts.push({
        kind: 'BackendGroup',
        key: made.group.key,
        conditions: made.conditions,
      });
    }
    const referents = this.withBroken(referentsOf(madeGroups), input.brokenGroups ?? []);
    const policies: RoutingPolicy[] = input.broken.map((broken) => refusingPolicy(broken, referents));
    const madePolicies = new Map<PolicyResource, MadePolicy>();
    for (const accepted of input.policies) {
      const made = this.policy(accepted, referents);
      madePolicies.set(accepted.resource, made);
      policies.push(made.policy);
      verdicts.push(made.verdict);
    }
    this.groups = madeGroups;
    this.policies = madePolicies;
    return { table: new RoutingTable(input.generation, policies, groups), verdicts };
  }

  private group(resource: GroupResource, input: CompileInput): MadeGroup {
    const known = this.groups.get(resource);
    const key = known?.group.key ?? keyOf(resource.metadata);
    const surroundings = input.surroundings(key, resource);
    const group =
      known !== undefined && sameSurroundings(known.surroundings, surroundings)
        ? known.group
        : compileGroup(key, resource, surroundings);
    const paired = pairsCondition(group);
    const conditions = [groupAccepted, surroundings.discovered, ...(paired === null ? [] : [paired])];
    return { surroundings, group, conditions };
  }

  private policy(accepted: AcceptedPolicy, referents: ReadonlyMap<string, Referent>): MadePolicy {
    const known = this.policies.get(accepted.resource);
    if (known?.accepted === accepted && hasSameReferents(known, referents)) return known;
    const { metadata, spec } = accepted.resource;
    const refKeys = spec.backendRefs.map((ref) => refKey(metadata.namespace ?? 'default', ref));
    const refs = refKeys.map((key) => referents.get(key));
    const wantsPairs = refs.some((ref) => ref?.group.topology !== undefined);
    const { profiles, condition } = this.profiles(spec.strategy, wantsPairs, known);
    const mismatches = refs.map((ref) => this.mismatch(spec.strategy.type, profiles, ref));
    const fit = refs.map((ref, i) => (mismatches[i]?.isBar === true ? undefined : ref));
    const barred = refs.flatMap((ref, i) => (ref !== undefined && mismatches[i]?.isBar === true ? [ref.group] : []));
    const policy = compilePolicy(accepted, { refs: fit, barred, profiles });
    const refused = mismatches.filter((mismatch) => mismatch !== null);
    const conditions = [condition, refsCondition(spec.backendRefs, refs, refused)];
    const verdict: Verdict = { kind: 'RoutingPolicy', key: policy.key, conditions };
    return { accepted, refKeys, refs, profiles, policy, verdict };
  }

  /** That of pairs is made once some backend asks for it: of thousands of policies few do. */
  private profiles(strategy: Strategy, wantsPairs: boolean, known: MadePolicy | undefined): MadeProfiles {
    const made = known?.profiles ?? null;
    const isEnough = made === null || !wantsPairs || made.pairProfile !== undefined;
    if (known !== undefined && isEnough) return { profiles: made, condition: known.verdict.conditions[0] };
    try {
      const profiles = this.build(expandStrategy(strategy), wantsPairs, made);
      return { profiles, condition: met('Accepted', 'the policy is valid') };
    } catch (error) {
      if (!(error instanceof ProfileError)) throw error;
      return { profiles: null, condition: unmet('Accepted', error.reason, `${error.path}: ${error.message}`) };
    }
  }

  private build({ profile, pairs }: ExpandedStrategy, wantsPairs: boolean, made: Profiles | null): Profiles {
    const build = (spec: ProfileSpec): SchedulingProfile => buildProfile(spec, this.registry, this.context);
    const single = { profile: made?.profile ?? build(profile) };
    return wantsPairs && pairs !== undefined ? { ...single, pairProfile: build(pairs) } : single;
  }

  /** The same referent for the same models: what is compiled from it is kept by its identity. */
  private withBroken(referents: Map<string, Referent>, groups: readonly BrokenGroup[]): Map<string, Referent> {
    const kept = new Map<string, Referent>();
    for (const broken of groups) {
      const key = keyOf(broken);
      const known = this.broken.get(key);
      const isSame = known?.group.models.join('\n') === broken.models.join('\n');
      const referent = known !== undefined && isSame ? known : brokenReferent(key, broken);
      kept.set(key, referent);
      if (!referents.has(key)) referents.set(key, referent);
    }
    this.broken = kept;
    return referents;
  }

  private mismatch(strategy: string, profiles: Profiles | null, ref: Referent | undefined): Mismatch | null {
    if (ref?.neverValid === true) return neverValid(ref.group);
    return ref === undefined || profiles === null ? null : mismatchOf(strategy, profiles, ref.group, this.frontDoor);
  }
}

const neverValid = ({ name }: BackendGroup): Mismatch => ({
  reason: 'BackendGroupNotFound',
  message: `BackendGroup ${name} has never been valid; its condition Accepted says what is wrong`,
  isBar: true,
});

function brokenReferent(key: string, { namespace, name, models }: BrokenGroup): Referent {
  const group: BackendGroup = Object.freeze({
    key,
    namespace,
    name,
    models: Object.freeze([...models]),
    modelsDeclared: models.length > 0,
    // As what a changed group declares: it claims nothing of old.
    declaredSince: notYetDated,
    endpoints: Object.freeze([]),
    prefixSource: noPrefixSource,
    connection: { scheme: 'http' as const, forwardAuthorization: false },
  });
  return { group, discovered: unmet('Discovered', 'NoMatch', 'the group has never been valid'), neverValid: true };
}

const groupAccepted = met('Accepted', 'the group is valid');

/** By the key of a reference: the groups, and those that stand for pools by the pool's key, too. */
function referentsOf(made: ReadonlyMap<GroupResource, MadeGroup>): Map<string, Referent> {
  const found = new Map<string, Referent>();
  for (const { group, surroundings } of made.values())
    found.set(group.key, { group, discovered: surroundings.discovered });
  for (const [key, resource] of groupsOfPools([...made.keys()])) {
    const referent = found.get(keyOf(resource.metadata));
    if (referent !== undefined) found.set(key, referent);
  }
  return found;
}

function hasSameReferents({ refKeys, refs }: MadePolicy, referents: ReadonlyMap<string, Referent>): boolean {
  for (let i = 0; i < refKeys.length; i++) {
    const referent = referents.get(refKeys[i]);
    if (referent?.group !== refs[i]?.group || referent?.discovered !== refs[i]?.discovered) return false;
  }
  return true;
}

function sameSurroundings(a: GroupSurroundings, b: GroupSurroundings): boolean {
  return (
    a.endpoints === b.endpoints &&
    a.learnedModels === b.learnedModels &&
    a.connection === b.connection &&
    a.prefixSource === b.prefixSource &&
    a.managerLookup === b.managerLookup &&
    a.tokenLookup === b.tokenLookup &&
    a.declaredSince === b.declaredSince
  );
}

function compileGroup(key: string, resource: GroupResource, surroundings: GroupSurroundings): BackendGroup {
  const { spec, metadata } = resource;
  const declared = spec.models.length > 0;
  const { managerLookup, tokenLookup, declaredSince } = surroundings;
  const topology = topologyOf(spec.topology);
  return Object.freeze({
    key,
    namespace: metadata.namespace ?? 'default',
    name: metadata.name,
    models: Object.freeze(declared ? [...spec.models] : [...surroundings.learnedModels]),
    modelsDeclared: declared,
    ...(declaredSince === undefined ? {} : { declaredSince }),
    endpoints: surroundings.endpoints,
    prefixSource: surroundings.prefixSource,
    connection: surroundings.connection,
    ...(topology === undefined ? {} : { topology }),
    ...(managerLookup === undefined ? {} : { managerLookup }),
    ...(tokenLookup === undefined ? {} : { tokenLookup }),
  });
}

interface PolicyParts {
  readonly refs: readonly (Referent | undefined)[];
  readonly barred: readonly BackendGroup[];
  readonly profiles: Profiles | null;
}

function compilePolicy(accepted: AcceptedPolicy, { refs, barred, profiles }: PolicyParts): RoutingPolicy {
  const { created, history, resource } = accepted;
  const { spec, metadata } = resource;
  const backends: Backend[] = [];
  spec.backendRefs.forEach(({ weight, rewriteModel = null }, i) => {
    const group = refs[i]?.group;
    if (group !== undefined) backends.push(Object.freeze({ group, weight, rewriteModel }));
  });
  const groups = [...backends.map(({ group }) => group), ...barred];
  const since = claimedSince({ created, history, patterns: spec.match.models, groups });
  return Object.freeze({
    key: keyOf(metadata),
    namespace: metadata.namespace ?? 'default',
    name: metadata.name,
    created,
    ...(since === undefined ? {} : { claimedSince: since }),
    ...(barred.length === 0 ? {} : { barred: Object.freeze(barred) }),
    match: Object.freeze({
      models: Object.freeze([...spec.match.models]),
      headers: Object.freeze(spec.match.headers.map(({ name, value }) => ({ name: name.toLowerCase(), value }))),
    }),
    backends: Object.freeze(backends),
    ...(profiles ?? { profile: null }),
    timeouts: Object.freeze(timeoutsOf(spec.timeouts)),
    retries: Object.freeze({ ...spec.retries }),
    debugHeaders: spec.debug.headers,
  });
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
function refusingPolicy(broken: BrokenPolicy, referents: ReadonlyMap<string, Referent>): RoutingPolicy {
  const found = broken.backends
    .map((ref) => referents.get(refKey(broken.namespace, ref))?.group)
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
