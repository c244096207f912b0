import { Candidates } from './candidates.ts';
import { firstAttempt, type Attempts, type Decision } from './decision.ts';
import type { Endpoint } from './endpoint.ts';
import { explainDecision, type DecisionView, type Explanation } from './explanation.ts';
import type { DecisionObserver } from './observer.ts';
import type { Filter } from './plugin.ts';
import type { Backend, RoutingPolicy } from './policy.ts';
import type { SchedulingProfile } from './profile.ts';
import type { EndpointReadiness } from './readiness.ts';
import type { InferenceRequest } from './request.ts';
import { Reservation } from './reservation.ts';
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

const nobody: DecisionObserver = { watches: () => false, picked: () => undefined, explained: () => undefined };

/** The decision: which endpoint of a policy's backends gets a request. No I/O, never awaits. */
export class Router {
  private readonly states: EndpointStates;
  private readonly random: () => number;
  private readonly observer: DecisionObserver;
  private readonly readiness: EndpointReadiness | null;
  private readonly candidates = new Candidates();
  /** Scratch: each backend's weight for the request at hand, 0 where it cannot take it. */
  private readonly weights: number[] = [];

  constructor(dependencies: RouterDependencies) {
    this.states = dependencies.states;
    this.random = dependencies.random;
    this.observer = dependencies.observer ?? nobody;
    this.readiness = dependencies.readiness ?? null;
  }

  /**
   * Picks an endpoint and reserves a place there; null when no endpoint is left that may take the request.
   * A further try calls it again with what has been tried: loads have moved on since, so the second best of then
   * may not be the best of now.
   */
  decide(policy: RoutingPolicy, request: InferenceRequest, attempts: Attempts = firstAttempt): Decision | null {
    const { profile } = policy;
    if (profile === null) return null;
    const { candidates, observer } = this;
    const watched = observer.watches(policy);
    const backend = this.pickBackend(policy, request, profile.parts.filters, attempts);
    if (backend === null) {
      if (watched) observer.explained(this.explanation({ policy, profile, request, attempts, backend, index: -1 }));
      return null;
    }
    this.gather(backend, request, profile, attempts.tried);
    const index = profile.run(request, candidates);
    if (watched) observer.explained(this.explanation({ policy, profile, request, attempts, backend, index }));
    const breakdown = attempts.explain ? profile.explain(request, candidates) : null;
    const endpoint = candidates.endpoints[index];
    observer.picked(endpoint);
    const { promptTokens } = candidates;
    const cachedTokens = Math.min(promptTokens, candidates.cachedTokens[index]);
    if (profile.parts.readsHits) backend.group.prefixSource.routed(request, endpoint.slot);
    const reservation = new Reservation(this.states, endpoint.slot, promptTokens - cachedTokens);
    return { backend, endpoint, reservation, promptTokens, cachedTokens, breakdown, handover: null };
  }

  /**
   * What `decide` would do with a request now, and why: nothing is reserved, recorded or remembered. Null where the
   * policy has no valid version.
   */
  explain(policy: RoutingPolicy, request: InferenceRequest): Explanation | null {
    const { profile } = policy;
    if (profile === null) return null;
    const attempts = firstAttempt;
    const backend = this.pickBackend(policy, request, profile.parts.filters, attempts);
    if (backend === null) return this.explanation({ policy, profile, request, attempts, backend, index: -1 });
    this.gather(backend, request, profile, attempts.tried);
    const index = profile.peek(request, this.candidates);
    return this.explanation({ policy, profile, request, attempts, backend, index });
  }

  /** Whether another endpoint of the policy could take a request that has failed on these. */
  hasOther(policy: RoutingPolicy, tried: readonly Endpoint[]): boolean {
    return policy.backends.some(
      ({ group, weight }) => weight > 0 && group.endpoints.some((endpoint) => this.isOpen(endpoint, tried)),
    );
  }

  /** The last try's backend while it has endpoints left; else by weight among those that have one. */
  private pickBackend(
    policy: RoutingPolicy,
    request: InferenceRequest,
    filters: readonly Filter[],
    attempts: Attempts,
  ): Backend | null {
    const { backends } = policy;
    const { weights } = this;
    // Where no backend is known to serve the model, the engine's own 404 is the truest answer.
    const strict = servedByAny(backends, request.model);
    let total = 0;
    for (let i = 0; i < backends.length; i++) {
      const backend = backends[i];
      weights[i] = 0;
      if (strict && !servesModel(backend, request.model)) continue;
      if (!this.hasCandidate(backend, request, filters, attempts.tried)) continue;
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
    filters: readonly Filter[],
    tried: readonly Endpoint[],
  ): boolean {
    for (const endpoint of backend.group.endpoints) {
      if (this.isOpen(endpoint, tried) && keptByAll(filters, request, endpoint)) return true;
    }
    return false;
  }

  /** Fills the candidates with ready endpoints that have not been tried and that every filter keeps. */
  private gather(
    backend: Backend,
    request: InferenceRequest,
    profile: SchedulingProfile,
    tried: readonly Endpoint[],
  ): void {
    const { candidates } = this;
    const { filters, readsHits } = profile.parts;
    candidates.clear();
    for (const endpoint of backend.group.endpoints) {
      if (this.isOpen(endpoint, tried) && keptByAll(filters, request, endpoint)) candidates.push(endpoint);
    }
    this.spareCold();
    candidates.promptTokens = request.prompt.tokens;
    if (readsHits) backend.group.prefixSource.match(request, candidates, candidates.cachedTokens);
  }

  /** Slow start: a new replica looks ideal because it is empty, so it stays a candidate only for its share. */
  private spareCold(): void {
    const { candidates } = this;
    const { warmth } = this.states;
    let kept = 0;
    for (let i = 0; i < candidates.length; i++) {
      const share = warmth[candidates.slots[i]];
      if (share < 1 && this.random() >= share) continue;
      candidates.move(i, kept);
      kept += 1;
    }
    // A fleet of nothing but cold replicas still serves.
    if (kept > 0) candidates.length = kept;
  }

  private explanation(chosen: Chosen): Explanation {
    const { states, readiness, candidates } = this;
    const { backend, profile, request } = chosen;
    const breakdown = backend === null ? [] : profile.explain(request, candidates);
    return explainDecision({ ...chosen, states, readiness, candidates, breakdown });
  }

  private isOpen(endpoint: Endpoint, tried: readonly Endpoint[]): boolean {
    return this.states.isReady(endpoint.slot) && (tried.length === 0 || !tried.includes(endpoint));
  }
}

function keptByAll(filters: readonly Filter[], request: InferenceRequest, endpoint: Endpoint): boolean {
  for (const filter of filters) if (!filter.keep(request, endpoint)) return false;
  return true;
}
