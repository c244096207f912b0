import { Candidates } from './candidates.ts';
import { firstAttempt, type Attempts, type Decision } from './decision.ts';
import type { Endpoint } from './endpoint.ts';
import type { DecisionView } from './decision-view.ts';
import { explainDecision, type Explanation } from './explanation.ts';
import { Fallbacks } from './fallbacks.ts';
import type { DecisionObserver } from './observer.ts';
import { isAllowed, isOpen, keptByAll } from './openness.ts';
import { pairBreakdown } from './pair-breakdown.ts';
import { Pairing } from './pairing.ts';
import type { Backend, RoutingPolicy } from './policy.ts';
import type { SchedulingProfile, ScoreBreakdown } from './profile.ts';
import { isAccepted, profileFor, readsHits, topologyFor, type AcceptedPolicy } from './profiles.ts';
import type { EndpointReadiness } from './readiness.ts';
import type { InferenceRequest } from './request.ts';
import { Reservation } from './reservation.ts';
import { defaultBounds, isSaturated, type SaturationBounds } from './saturation.ts';
import { servedByAny, servesModel } from './served.ts';
import type { EndpointStates } from './states.ts';

/** What a decision needs from outside; injected so that tests and the simulator own time and chance. */
export interface RouterDependencies {
  readonly states: EndpointStates;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Told of every decision. */
  readonly observer?: DecisionObserver;
  /** Words for endpoints that are not ready, in explanations. */
  readonly readiness?: EndpointReadiness;
}

/** What an explanation is made of besides the router's own. */
type Chosen = Pick<DecisionView, 'policy' | 'profile' | 'request' | 'attempts' | 'backend' | 'index'>;

const none: readonly Endpoint[] = Object.freeze([]);
const nobody: DecisionObserver = { watches: () => false, picked: () => undefined, explained: () => undefined };

/** The decision: which endpoint of a policy's backends gets a request. No I/O, never awaits. */
export class Router {
  private readonly states: EndpointStates;
  private readonly random: () => number;
  private readonly observer: DecisionObserver;
  private readonly readiness: EndpointReadiness | null;
  private readonly candidates = new Candidates();
  private readonly pairing: Pairing;
  private readonly cheapest = new Fallbacks();
  /** The profile of the last decision, and the place of its pick among the candidates; -1 where there was none. */
  private lastProfile: SchedulingProfile | null = null;
  private lastPick = -1;
  /** Scratch: each backend's weight for the request at hand, 0 where it cannot take it. */
  private readonly weights: number[] = [];

  constructor(dependencies: RouterDependencies) {
    this.states = dependencies.states;
    this.random = dependencies.random;
    this.observer = dependencies.observer ?? nobody;
    this.readiness = dependencies.readiness ?? null;
    this.pairing = new Pairing(dependencies.states, dependencies.random);
  }

  /**
   * Picks an endpoint and reserves a place there; null when no endpoint is left that may take the request.
   * A further try calls it again with what has been tried: loads have moved on since, so the second best of then
   * may not be the best of now.
   */
  decide(policy: RoutingPolicy, request: InferenceRequest, attempts: Attempts = firstAttempt): Decision | null {
    this.lastPick = -1;
    if (!isAccepted(policy)) return null;
    const { candidates, observer } = this;
    const watched = observer.watches(policy);
    const backend = this.pickBackend(policy, request, attempts);
    if (backend === null) {
      const { profile } = policy;
      if (watched) observer.explained(this.explanation({ policy, profile, request, attempts, backend, index: -1 }));
      return null;
    }
    const profile = profileFor(policy, backend.group);
    this.gather(backend, request, profile, attempts);
    const index = profile.run(request, candidates);
    this.lastProfile = profile;
    this.lastPick = index;
    if (watched) observer.explained(this.explanation({ policy, profile, request, attempts, backend, index }));
    const breakdown = attempts.explain ? this.breakdown(profile, request) : null;
    observer.picked(candidates.endpoints[index]);
    return this.reserved(policy, backend, request, breakdown);
  }

  /** The decision for the last pick, with its place taken. */
  private reserved(
    policy: AcceptedPolicy,
    backend: Backend,
    request: InferenceRequest,
    breakdown: Decision['breakdown'],
  ): Decision {
    const { candidates, pairing, states, lastPick } = this;
    const { pairs } = profileFor(policy, backend.group).parts;
    const { prefixSource } = backend.group;
    const feeds = readsHits(policy, backend.group);
    const { promptTokens } = candidates;
    const endpoint = candidates.endpoints[lastPick];
    if (pairs === undefined) {
      const cachedTokens = Math.min(promptTokens, candidates.cachedTokens[lastPick]);
      if (feeds) prefixSource.routed(request, endpoint.slot);
      const reservation = new Reservation(states, endpoint.slot, promptTokens - cachedTokens);
      return { backend, endpoint, reservation, promptTokens, cachedTokens, breakdown, handover: null };
    }
    const handover = pairing.handover();
    const cachedTokens = pairing.cachedTokens();
    if (feeds) pairing.routed(request, prefixSource);
    const reservation = pairing.reserve(endpoint, pairs.charges);
    return { backend, endpoint, reservation, promptTokens, cachedTokens, breakdown, handover };
  }

  /**
   * The next best endpoints of the backend that was just decided for, the best first: ready, within the subset,
   * without the pick; of a disaggregated group its other leaders, none where the router hands over itself. Nothing is reserved there. The array is valid until
   * the next decision or explanation.
   */
  fallbacks(limit: number): readonly Endpoint[] {
    const { lastProfile, lastPick } = this;
    if (lastProfile === null || lastPick < 0) return none;
    return this.cheapest.cheapest(this.candidates, lastProfile.totals, lastPick, limit);
  }

  /**
   * What `decide` would do with a request now, and why: nothing is reserved, recorded or remembered. Null where the
   * policy has no valid version.
   */
  explain(policy: RoutingPolicy, request: InferenceRequest): Explanation | null {
    if (!isAccepted(policy)) return null;
    const attempts = firstAttempt;
    this.lastPick = -1;
    const backend = this.pickBackend(policy, request, attempts);
    const profile = backend === null ? policy.profile : profileFor(policy, backend.group);
    if (backend === null) return this.explanation({ policy, profile, request, attempts, backend, index: -1 });
    this.gather(backend, request, profile, attempts);
    const index = profile.peek(request, this.candidates);
    return this.explanation({ policy, profile, request, attempts, backend, index });
  }

  /**
   * Whether every ready engine that the policy could send to is over its bounds; false where none is ready.
   * `only` as in Attempts.
   */
  isSaturated(policy: RoutingPolicy, bounds: SaturationBounds = defaultBounds, only: Attempts['only'] = null): boolean {
    return isSaturated(policy, { states: this.states, bounds, only });
  }

  /** Whether another endpoint of the policy could take a request that has failed on these; `only` as in Attempts. */
  hasOther(policy: RoutingPolicy, tried: readonly Endpoint[], only: Attempts['only'] = null): boolean {
    return policy.backends.some(({ group, weight }) => {
      if (weight === 0) return false;
      const { endpoints } = group;
      const topology = topologyFor(policy, group);
      if (topology !== null) return this.pairing.hasOtherGroup(topology, endpoints, tried, only);
      return endpoints.some((endpoint) => this.mayTake(endpoint, tried, only));
    });
  }

  /** The last try's backend while it has endpoints left; else by weight among those that have one. */
  private pickBackend(policy: AcceptedPolicy, request: InferenceRequest, attempts: Attempts): Backend | null {
    const { backends } = policy;
    const { weights } = this;
    // Where no backend is known to serve the model, the engine's own 404 is the truest answer.
    const strict = servedByAny(backends, request.model);
    let total = 0;
    for (let i = 0; i < backends.length; i++) {
      const backend = backends[i];
      weights[i] = 0;
      if (strict && !servesModel(backend, request.model)) continue;
      if (!this.hasCandidate(backend, request, profileFor(policy, backend.group), attempts)) continue;
      if (backend === attempts.backend) return backend;
      weights[i] = backend.weight;
      total += backend.weight;
    }
    return total > 0 ? this.draw(backends, total) : null;
  }

  /** One of the backends, by the weights just found. */
  private draw(backends: readonly Backend[], total: number): Backend {
    let point = this.random() * total;
    let last = 0;
    for (let i = 0; i < backends.length; i++) {
      if (this.weights[i] === 0) continue;
      last = i;
      point -= this.weights[i];
      if (point < 0) break;
    }
    return backends[last];
  }

  private hasCandidate(
    backend: Backend,
    request: InferenceRequest,
    profile: SchedulingProfile,
    attempts: Attempts,
  ): boolean {
    const { filters, pairs } = profile.parts;
    if (pairs !== undefined) {
      const topology = backend.group.topology ?? pairs.topology;
      return this.pairing.hasGroup({ backend, profile, parts: pairs, topology, request, attempts });
    }
    const { tried, only } = attempts;
    for (const endpoint of backend.group.endpoints) {
      if (this.mayTake(endpoint, tried, only) && keptByAll(filters, request, endpoint)) return true;
    }
    return false;
  }

  /** Fills the candidates with ready endpoints that have not been tried and that every filter keeps. */
  private gather(backend: Backend, request: InferenceRequest, profile: SchedulingProfile, attempts: Attempts): void {
    const { candidates } = this;
    const { filters, readsHits, pairs } = profile.parts;
    candidates.model = backend.rewriteModel ?? request.model;
    if (pairs !== undefined) {
      const topology = backend.group.topology ?? pairs.topology;
      this.pairing.choose({ backend, profile, parts: pairs, topology, request, attempts }, candidates);
      return;
    }
    const { tried, only } = attempts;
    candidates.clear();
    for (const endpoint of backend.group.endpoints) {
      if (this.mayTake(endpoint, tried, only) && keptByAll(filters, request, endpoint)) candidates.push(endpoint);
    }
    this.spareCold();
    candidates.promptTokens = request.prompt.tokens;
    if (readsHits) backend.group.prefixSource.match(request, candidates, candidates.cachedTokens);
  }

  /** Slow start: a new replica looks ideal because it is empty, so it stays a candidate only for its share. */
  private spareCold(): void {
    const { candidates } = this;
    const { warmth } = this.states;
    const all = candidates.length;
    let kept = 0;
    for (let i = 0; i < all; i++) {
      const share = warmth[candidates.slots[i]];
      if (share < 1 && this.random() >= share) continue;
      if (kept < i) candidates.swap(i, kept);
      kept += 1;
    }
    // A fleet of nothing but cold replicas still serves.
    if (kept === 0) return;
    candidates.length = kept;
    candidates.spared = all - kept;
  }

  /** The scores of the decision just made: of the candidates, or of all prefillers and decoders. */
  private breakdown(profile: SchedulingProfile, request: InferenceRequest): ScoreBreakdown[] {
    const { pairs } = profile.parts;
    if (pairs === undefined) return profile.explain(request, this.candidates);
    return [...pairBreakdown(pairs, request, this.pairing.pairs)].map(([{ name, address }, { score, parts }]) => ({
      endpoint: name,
      address,
      score,
      parts,
    }));
  }

  private explanation(chosen: Chosen): Explanation {
    const { states, readiness, candidates, pairing } = this;
    const { backend, profile, request } = chosen;
    const breakdown = backend === null ? [] : profile.explain(request, candidates);
    const parts = profile.parts.pairs;
    const paired =
      backend === null || parts === undefined
        ? null
        : { pairs: pairing.pairs, members: pairBreakdown(parts, request, pairing.pairs) };
    return explainDecision({ ...chosen, states, readiness, candidates, breakdown, paired });
  }

  private mayTake(endpoint: Endpoint, tried: readonly Endpoint[], only: Attempts['only']): boolean {
    return isOpen(this.states, endpoint, tried) && isAllowed(endpoint, only);
  }
}
