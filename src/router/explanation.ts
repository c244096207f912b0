import type { DecisionView, PairsView } from './decision-view.ts';
import type { Endpoint } from './endpoint.ts';
import type { Backend } from './policy.ts';
import type { ScorePart } from './profile.ts';
import { topologyFor } from './profiles.ts';
import { outReason } from './out-reasons.ts';
import type { MemberScore } from './pair-breakdown.ts';
import type { PairRole } from './pair-grouping.ts';
import { servedByAny, servesModel } from './served.ts';

/** Longest model name that is repeated; names come from clients. */
const longestModel = 256;

/** Why a request went, or would go, where it does. Holds names, lengths and scores; never anything a client wrote but the model and its request id. */
export interface Explanation {
  /** `namespace/name`. */
  readonly policy: string;
  readonly model: string;
  /** Null for a request that has none (yet). */
  readonly requestId: string | null;
  /** 1 for the first try of a request. */
  readonly attempt: number;
  /** Length of the prompt in tokens, as estimated. */
  readonly promptTokens: number;
  /** What the policy's strategy expands to. */
  readonly effectiveProfile: string;
  readonly picker: string;
  /** Which total is the best. */
  readonly best: 'lowest' | 'highest';
  /** Null where no endpoint was left: the client gets 503, or 502 after a try. */
  readonly picked: PickedEndpoint | null;
  /** What chance has decided, in words; empty where the same request would be placed alike again. */
  readonly byChance: readonly string[];
  readonly backends: readonly ExplainedBackend[];
  /** Every endpoint of every backend. */
  readonly endpoints: readonly ExplainedEndpoint[];
}

export interface PickedEndpoint {
  readonly group: string;
  readonly endpoint: string;
  readonly address: string;
  readonly cachedTokens: number;
  /** Model name that the engine is asked for, if it is another. */
  readonly rewriteModel: string | null;
  /** Names of the pair that shares the work, where two do. */
  readonly handover?: { readonly prefill: string; readonly decode: string };
}

export interface ExplainedBackend {
  /** Name of its BackendGroup. */
  readonly group: string;
  readonly weight: number;
  /** Its share among the backends that could take the request, 0..1. */
  readonly share: number;
  /** Why it could not; null where it could. */
  readonly reason: string | null;
}

export interface ExplainedEndpoint {
  readonly endpoint: string;
  readonly group: string;
  readonly address: string;
  readonly picked: boolean;
  /** Why it was no candidate; null where it was one. */
  readonly reason: string | null;
  /** Prompt tokens thought to be in its KV cache; null where it was no candidate, for decoders and for leaders. */
  readonly cachedTokens: number | null;
  /** Weighted sum of the parts; null where it was no candidate, and for leaders. */
  readonly score: number | null;
  readonly parts: readonly ScorePart[];
  /** Where pairs share the work: its part in it, and the name of its group. */
  readonly role?: PairRole;
  readonly pdGroup?: string;
  /** Weighted load that decides among members of a group that cost the same. */
  readonly charge?: number;
}

/** Makes the explanation of a decision. Changes nothing. */
export function explainDecision(view: DecisionView): Explanation {
  const { policy, profile, request, attempts } = view;
  const { scorers, pickerType, description } = profile.parts;
  const backends = explainBackends(view);
  return {
    policy: policy.key,
    model: request.model.slice(0, longestModel),
    requestId: request.requestId || null,
    attempt: attempts.tried.length + 1,
    promptTokens: request.prompt.tokens,
    effectiveProfile: description,
    picker: pickerType,
    best: scorers[0]?.direction === 'gain' ? 'highest' : 'lowest',
    picked: pickedOf(view),
    byChance: chances(view, backends),
    backends,
    endpoints: policy.backends.flatMap((backend, b) => explainEndpoints(view, backend, backends[b])),
  };
}

function pickedOf({ backend, candidates, index, request, paired }: DecisionView): PickedEndpoint | null {
  if (backend === null) return null;
  const { name, address } = candidates.endpoints[index];
  const { group, rewriteModel } = backend;
  const picked = { group: group.name, endpoint: name, address, rewriteModel };
  const promptTokens = request.prompt.tokens;
  if (paired === null) return { ...picked, cachedTokens: Math.min(promptTokens, candidates.cachedTokens[index]) };
  const { prefills, decodes, prefill, decode } = paired.pairs;
  // A decoder that needs no prefiller.
  if (prefill < 0) return { ...picked, cachedTokens: Math.min(promptTokens, decodes.cachedTokens[decode]) };
  return {
    ...picked,
    cachedTokens: Math.min(promptTokens, prefills.cachedTokens[prefill]),
    handover: { prefill: prefills.endpoints[prefill].name, decode: decodes.endpoints[decode].name },
  };
}

function explainBackends(view: DecisionView): ExplainedBackend[] {
  const { backends } = view.policy;
  const reasons = backends.map((backend) => backendReason(view, backend));
  const total = backends.reduce((sum, { weight }, b) => sum + (reasons[b] === null ? weight : 0), 0);
  return backends.map(({ group, weight }, b) => ({
    group: group.name,
    weight,
    share: reasons[b] === null ? weight / total : 0,
    reason: reasons[b],
  }));
}

/** Why a backend could not take the request, or null. */
function backendReason(view: DecisionView, backend: Backend): string | null {
  const { request, policy, attempts } = view;
  if (servedByAny(policy.backends, request.model) && !servesModel(backend, request.model))
    return 'does not serve the model';
  if (!backend.group.endpoints.some((endpoint) => outReason(view, backend, endpoint) === null)) {
    return backend.group.endpoints.length === 0 ? 'has no endpoints' : 'no endpoint is left';
  }
  if (backend.weight === 0) return 'has weight 0';
  if (attempts.backend !== null && attempts.backend === view.backend && backend !== view.backend)
    return 'further tries stay with their backend';
  return null;
}

function explainEndpoints(view: DecisionView, backend: Backend, said: ExplainedBackend): ExplainedEndpoint[] {
  const { candidates, breakdown, index, paired } = view;
  const places = new Map<Endpoint, number>();
  if (backend === view.backend) for (let i = 0; i < candidates.length; i++) places.set(candidates.endpoints[i], i);
  return backend.group.endpoints.map((endpoint): ExplainedEndpoint => {
    const group = backend.group.name;
    const names = { endpoint: endpoint.name, group, address: endpoint.address, ...placeOf(view, backend, endpoint) };
    const member = paired?.members.get(endpoint);
    if (member !== undefined) return { ...names, ...explainMember(view, backend, endpoint, member) };
    const i = places.get(endpoint);
    if (paired !== null && i !== undefined) {
      // A leader has no part in the scores: those of its pair are all there is to compare.
      const reason = i === index ? null : 'another leader of its group was picked';
      return { ...names, picked: i === index, reason, cachedTokens: null, score: null, parts: [] };
    }
    if (i === undefined) {
      const reason = outReason(view, backend, endpoint) ?? placeReason(view, backend, endpoint, said);
      return { ...names, picked: false, reason, cachedTokens: null, score: null, parts: [] };
    }
    const { score, parts } = breakdown[i];
    return { ...names, picked: i === index, reason: null, cachedTokens: candidates.cachedTokens[i], score, parts };
  });
}

type Said = Omit<ExplainedEndpoint, 'endpoint' | 'group' | 'address'>;

function explainMember(view: DecisionView, backend: Backend, endpoint: Endpoint, member: MemberScore): Said {
  const reason = idleReason(view, backend, endpoint);
  if (reason !== null) return { picked: false, reason, cachedTokens: null, score: null, parts: [] };
  const { charge, ...rest } = member;
  return { ...rest, ...(charge === null ? {} : { charge }), reason };
}

/** What an endpoint is among pairs; nothing where there are none. */
function placeOf({ policy }: DecisionView, { group }: Backend, endpoint: Endpoint): Partial<ExplainedEndpoint> {
  const grouping = topologyFor(policy, group)?.grouping;
  const role = grouping?.roleOf(endpoint) ?? null;
  const pdGroup = grouping?.groupOf(endpoint) ?? null;
  return { ...(role === null ? {} : { role }), ...(pdGroup === null ? {} : { pdGroup }) };
}

/** Why an endpoint that could take the request was no candidate. */
function placeReason(view: DecisionView, backend: Backend, endpoint: Endpoint, said: ExplainedBackend): string {
  if (backend !== view.backend)
    return said.reason === null ? 'another backend was drawn' : `its backend: ${said.reason}`;
  const topology = topologyFor(view.policy, backend.group);
  if (topology?.grouping.roleOf(endpoint) === 'leader') return 'another group was picked';
  return `slow start: it${topology === null ? '' : ' or its group'} is new and sits this one out`;
}

/** Why a member has no part in a decision that needs no pair; null where it has one. */
function idleReason({ policy, paired }: DecisionView, { group }: Backend, endpoint: Endpoint): string | null {
  const topology = topologyFor(policy, group);
  if (paired === null || topology === null || paired.pairs.prefill >= 0) return null;
  const above = topology.disaggregateAbove;
  if (topology.grouping.roleOf(endpoint) === 'prefill')
    return `no prefiller is needed: a decoder has at most ${above} tokens of the prompt to compute`;
  const { decodes, promptTokens } = paired.pairs;
  const uncached = promptTokens - decodes.cachedTokens[decodes.endpoints.indexOf(endpoint)];
  return uncached > above ? `would have to compute more than ${above} tokens by itself` : null;
}

function chances(view: DecisionView, backends: readonly ExplainedBackend[]): string[] {
  const { backend, profile, breakdown, index, attempts, paired } = view;
  if (backend === null) return [];
  const found: string[] = [];
  if (backend !== attempts.backend && backends.filter(({ share }) => share > 0).length > 1)
    found.push('the backend was drawn by weight');
  if (backend.group.endpoints.some((endpoint) => isCold(view, backend, endpoint)))
    found.push('new endpoints take part in a share of decisions (slow start)');
  if (paired !== null) found.push(...pairChances(paired));
  const equals = breakdown.filter(({ score }) => score === breakdown[index].score).length;
  if (profile.parts.picker.breaksTiesByChance === true && equals > 1)
    found.push(`the ${paired === null ? 'endpoint' : 'leader'} is one of ${equals} equals`);
  return found;
}

function pairChances({ pairs: { equals, prefill } }: PairsView): string[] {
  return equals > 1 ? [`the ${prefill < 0 ? 'decoder' : 'pair'} is one of ${equals} equals`] : [];
}

function isCold(view: DecisionView, backend: Backend, endpoint: Endpoint): boolean {
  if (topologyFor(view.policy, backend.group)?.grouping.roleOf(endpoint) === 'leader') return false;
  return view.states.warmth[endpoint.slot] < 1 && outReason(view, backend, endpoint) === null;
}
