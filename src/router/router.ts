import { Candidates } from './candidates.ts';
import { firstAttempt, type Attempts, type Decision } from './decision.ts';
import type { Endpoint } from './endpoint.ts';
import type { Backend, RoutingPolicy } from './policy.ts';
import type { SchedulingProfile } from './profile.ts';
import type { InferenceRequest } from './request.ts';
import { Reservation } from './reservation.ts';
import type { EndpointStates } from './states.ts';

/** What a decision needs from outside; injected so that tests and the simulator own time and chance. */
export interface RouterDependencies {
  readonly states: EndpointStates;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** The decision: which endpoint of a policy's backends gets a request. No I/O, never awaits. */
export class Router {
  private readonly states: EndpointStates;
  private readonly random: () => number;
  private readonly candidates = new Candidates();

  constructor(dependencies: RouterDependencies) {
    this.states = dependencies.states;
    this.random = dependencies.random;
  }

  /**
   * Picks an endpoint and reserves a place there; null when no endpoint is left that may take the request.
   * A further try calls it again with what has been tried: loads have moved on since, so the second best of then
   * may not be the best of now.
   */
  decide(policy: RoutingPolicy, request: InferenceRequest, attempts: Attempts = firstAttempt): Decision | null {
    const { profile } = policy;
    if (profile === null) return null;
    const backend = this.pickBackend(policy, request, attempts);
    if (backend === null) return null;
    const { candidates } = this;
    this.gather(backend, request, profile, attempts.tried);
    if (candidates.length === 0) return null;
    const { prefixSource } = backend.group;
    candidates.promptTokens = request.prompt.tokens;
    const { readsHits } = profile.parts;
    if (readsHits) prefixSource.match(request, candidates, candidates.cachedTokens);
    const index = profile.run(request, candidates);
    const breakdown = attempts.explain ? profile.explain(request, candidates) : null;
    const endpoint = candidates.endpoints[index];
    const { promptTokens } = candidates;
    const cachedTokens = Math.min(promptTokens, candidates.cachedTokens[index]);
    if (readsHits) prefixSource.routed(request, endpoint.slot);
    const reservation = new Reservation(this.states, endpoint.slot, promptTokens - cachedTokens);
    return { backend, endpoint, reservation, promptTokens, cachedTokens, breakdown };
  }

  /** Whether another endpoint of the policy could take a request that has failed on these. */
  hasOther(policy: RoutingPolicy, tried: readonly Endpoint[]): boolean {
    return policy.backends.some((backend) => backend.weight > 0 && this.hasCandidate(backend, tried));
  }

  /** The last try's backend while it has endpoints left; else by weight among those that have one. */
  private pickBackend(policy: RoutingPolicy, request: InferenceRequest, attempts: Attempts): Backend | null {
    const { backends } = policy;
    const { tried } = attempts;
    if (attempts.backend !== null && this.hasCandidate(attempts.backend, tried)) return attempts.backend;
    // Where no backend is known to serve the model, the engine's own 404 is the truest answer.
    const strict = backends.some((backend) => servesModel(backend, request.model));
    let total = 0;
    for (const backend of backends) if (this.eligible(backend, strict ? request.model : null, tried)) total += backend.weight;
    if (total <= 0) return null;
    let point = this.random() * total;
    let last: Backend | null = null;
    for (const backend of backends) {
      if (backend.weight === 0 || !this.eligible(backend, strict ? request.model : null, tried)) continue;
      last = backend;
      point -= backend.weight;
      if (point < 0) return backend;
    }
    return last;
  }

  private eligible(backend: Backend, model: string | null, tried: readonly Endpoint[]): boolean {
    return (model === null || servesModel(backend, model)) && this.hasCandidate(backend, tried);
  }

  private hasCandidate(backend: Backend, tried: readonly Endpoint[]): boolean {
    for (const endpoint of backend.group.endpoints) {
      if (this.states.isReady(endpoint.slot) && !tried.includes(endpoint)) return true;
    }
    return false;
  }

  /** Ready endpoints that have not been tried and that every filter keeps. */
  private gather(backend: Backend, request: InferenceRequest, profile: SchedulingProfile, tried: readonly Endpoint[]): void {
    this.collect(backend, request, profile, tried, true);
    // A fleet of nothing but cold replicas still serves.
    if (this.candidates.length === 0) this.collect(backend, request, profile, tried, false);
  }

  private collect(
    backend: Backend,
    request: InferenceRequest,
    profile: SchedulingProfile,
    tried: readonly Endpoint[],
    sparing: boolean,
  ): void {
    const { candidates, states } = this;
    const { filters } = profile.parts;
    candidates.clear();
    for (const endpoint of backend.group.endpoints) {
      const { slot } = endpoint;
      if (!states.isReady(slot)) continue;
      if (tried.length > 0 && tried.includes(endpoint)) continue;
      // Slow start: a new replica looks ideal because it is empty, so it is a candidate only for its share.
      if (sparing && states.warmth[slot] < 1 && this.random() >= states.warmth[slot]) continue;
      if (keptByAll(filters, request, endpoint)) candidates.push(endpoint);
    }
  }
}

function keptByAll(
  filters: SchedulingProfile['parts']['filters'],
  request: InferenceRequest,
  endpoint: Endpoint,
): boolean {
  for (const filter of filters) if (!filter.keep(request, endpoint)) return false;
  return true;
}

/** Unknown models count as served: the engine knows better than we do. */
function servesModel(backend: Backend, model: string): boolean {
  const { models } = backend.group;
  return models.length === 0 || models.includes(backend.rewriteModel ?? model);
}
