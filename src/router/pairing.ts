import type { Candidates } from './candidates.ts';
import type { Attempts, Handover } from './decision.ts';
import type { Endpoint } from './endpoint.ts';
import { isAllowed, isOpen, keptByAll } from './openness.ts';
import type { PairGroup } from './pair-grouping.ts';
import { PairReservation } from './pair-reservation.ts';
import { PairCosts, Pairs } from './pairs.ts';
import type { PairCharges } from './plugin.ts';
import type { Backend } from './policy.ts';
import type { PairParts, SchedulingProfile } from './profile.ts';
import type { InferenceRequest } from './request.ts';
import type { EndpointStates } from './states.ts';

const noStages = Object.freeze({ prefill: 0, decode: 0 });

/** A request that wants a pair, and what has been tried for it. */
export interface PairQuery {
  readonly backend: Backend;
  readonly profile: SchedulingProfile;
  readonly parts: PairParts;
  readonly request: InferenceRequest;
  readonly attempts: Attempts;
}

/** Chooses the prefiller and the decoder of a request, always of one group. Scratch memory: one for all decisions. */
export class Pairing {
  readonly pairs = new Pairs();
  readonly costs = new PairCosts();
  private readonly values = new PairCosts();
  private readonly states: EndpointStates;
  private readonly random: () => number;
  /** Share that cold members are measured against in the decision at hand; below 0 while none has been met. */
  private draw = -1;

  constructor(states: EndpointStates, random: () => number) {
    this.states = states;
    this.random = random;
  }

  /** Whether some group has a member of each role that could take the request. */
  hasGroup(query: PairQuery): boolean {
    const { backend, parts } = query;
    for (const group of parts.grouping.groupsOf(backend.group.endpoints)) {
      if (this.hasOpen(group.prefills, query) && this.hasOpen(group.decodes, query) && this.hasLeader(group, query))
        return true;
    }
    return false;
  }

  /** The same for whatever request, of which this much is known. */
  hasOtherGroup(
    parts: PairParts,
    endpoints: readonly Endpoint[],
    tried: readonly Endpoint[],
    only: Attempts['only'],
  ): boolean {
    const { states } = this;
    const open = (endpoint: Endpoint): boolean => isOpen(states, endpoint, tried);
    return parts.grouping
      .groupsOf(endpoints)
      .some(
        ({ prefills, decodes, leaders }) =>
          prefills.some(open) &&
          decodes.some(open) &&
          leaders.some((leader) => open(leader) && isAllowed(leader, only)),
      );
  }

  /** Chooses a pair and leaves its group's leaders as the candidates; there is a group, as `hasGroup` has said. */
  choose(query: PairQuery, candidates: Candidates): void {
    const { pairs, costs } = this;
    const { parts, request } = query;
    this.arrange(query);
    this.sum(query);
    parts.picker.pick(request, pairs, costs);
    candidates.clear();
    for (let i = pairs.leaderStarts[pairs.group]; i < pairs.leaderStarts[pairs.group + 1]; i++)
      candidates.push(pairs.leaders.endpoints[i]);
    candidates.promptTokens = pairs.promptTokens;
  }

  /** The pair that was chosen last. */
  handover(): Handover {
    const { pairs } = this;
    return {
      prefill: pairs.prefills.endpoints[pairs.prefill],
      decode: pairs.decodes.endpoints[pairs.decode],
      by: 'Leader',
      stages: noStages,
    };
  }

  /** Prompt tokens that its prefiller has cached. */
  cachedTokens(): number {
    const { promptTokens, prefills, prefill } = this.pairs;
    return Math.min(promptTokens, prefills.cachedTokens[prefill]);
  }

  /** Takes a place with the leader and with the pair that was chosen last. */
  reserve(leader: Endpoint, charges: readonly PairCharges[]): PairReservation {
    const { promptTokens, prefills, decodes, prefill, decode } = this.pairs;
    const load = {
      prefillSlot: prefills.slots[prefill],
      decodeSlot: decodes.slots[decode],
      promptTokens,
      uncachedTokens: promptTokens - this.cachedTokens(),
    };
    return new PairReservation(this.states, leader.slot, load, charges);
  }

  /** Fills the pairs: whole groups only, cold members for their share of decisions. */
  private arrange(query: PairQuery): void {
    const { pairs } = this;
    const { backend, parts, profile, request } = query;
    const groups = parts.grouping.groupsOf(backend.group.endpoints);
    this.draw = -1;
    pairs.clear();
    for (const group of groups) this.gather(group, query, true);
    // A fleet whose groups are all cold still serves.
    if (pairs.length === 0) for (const group of groups) this.gather(group, query, false);
    pairs.promptTokens = request.prompt.tokens;
    pairs.prefills.promptTokens = pairs.promptTokens;
    if (profile.parts.readsHits) {
      backend.group.prefixSource.match(request, pairs.prefills, pairs.prefills.cachedTokens);
    }
  }

  private gather(group: PairGroup, query: PairQuery, sparing: boolean): void {
    const { pairs } = this;
    const { prefills, decodes, leaders } = group;
    for (let i = 0; i < prefills.length; i++) {
      if (this.takesPart(prefills[i], query, sparing)) pairs.pushPrefill(group, i);
    }
    for (const decode of decodes) if (this.takesPart(decode, query, sparing)) pairs.decodes.push(decode);
    for (const leader of leaders) if (this.isLeader(leader, query)) pairs.leaders.push(leader);
    pairs.close(group);
  }

  private takesPart(endpoint: Endpoint, query: PairQuery, sparing: boolean): boolean {
    return this.isMember(endpoint, query) && !(sparing && this.isSpared(endpoint.slot));
  }

  /**
   * Slow start. One draw for all cold members of a decision: each takes part in its share of decisions, and a group
   * that is new from end to end in that share, too, instead of in the product of its members' shares.
   */
  private isSpared(slot: number): boolean {
    const share = this.states.warmth[slot];
    if (share >= 1) return false;
    if (this.draw < 0) this.draw = this.random();
    return this.draw >= share;
  }

  private sum({ parts, request }: PairQuery): void {
    const { pairs, costs, values } = this;
    costs.reset(pairs);
    for (const { scorer, weight } of parts.scorers) {
      values.reset(pairs);
      scorer.score(request, pairs, values);
      costs.add(values, weight, pairs);
    }
  }

  private hasOpen(members: readonly Endpoint[], query: PairQuery): boolean {
    for (const member of members) if (this.isMember(member, query)) return true;
    return false;
  }

  private hasLeader({ leaders }: PairGroup, query: PairQuery): boolean {
    for (const leader of leaders) if (this.isLeader(leader, query)) return true;
    return false;
  }

  private isMember(endpoint: Endpoint, { attempts, profile, request }: PairQuery): boolean {
    return isOpen(this.states, endpoint, attempts.tried) && keptByAll(profile.parts.filters, request, endpoint);
  }

  private isLeader(endpoint: Endpoint, query: PairQuery): boolean {
    return isAllowed(endpoint, query.attempts.only) && this.isMember(endpoint, query);
  }
}
