import type { Candidates } from './candidates.ts';
import type { Attempts, Handover } from './decision.ts';
import type { Endpoint } from './endpoint.ts';
import { isAllowed, isOpen, keptByAll } from './openness.ts';
import type { PairGroup } from './pair-grouping.ts';
import { PairReservation } from './pair-reservation.ts';
import { noStages, sparesPrefillers, type HandoverBy, type PairTopology, type StageTimeouts } from './pair-topology.ts';
import { PairCosts, Pairs } from './pairs.ts';
import { pickAlone } from './pick-alone.ts';
import type { PairCharges } from './plugin.ts';
import type { Backend } from './policy.ts';
import type { PrefixSource } from './prefix.ts';
import type { PairParts, SchedulingProfile } from './profile.ts';
import type { InferenceRequest } from './request.ts';
import type { EndpointStates } from './states.ts';

/** A request that wants a pair, and what has been tried for it. */
export interface PairQuery {
  readonly backend: Backend;
  readonly profile: SchedulingProfile;
  readonly parts: PairParts;
  /** The group's own, else that of the parts. */
  readonly topology: PairTopology;
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
  /** Of the last choice. */
  private by: HandoverBy = 'Leader';
  private stages: StageTimeouts = noStages;
  private prefilled: Endpoint | null = null;

  constructor(states: EndpointStates, random: () => number) {
    this.states = states;
    this.random = random;
  }

  /** Whether some group has a member of each role that could take the request. */
  hasGroup(query: PairQuery): boolean {
    const { backend, topology } = query;
    for (const group of topology.grouping.groupsOf(backend.group.endpoints)) {
      if (this.hasPrefill(group, query) && this.hasDecode(group, query) && this.hasLeader(group, query)) return true;
    }
    return false;
  }

  /** The same for whatever request, of which this much is known. */
  hasOtherGroup(
    { grouping, handover }: PairTopology,
    endpoints: readonly Endpoint[],
    tried: readonly Endpoint[],
    only: Attempts['only'],
  ): boolean {
    const { states } = this;
    const open = (endpoint: Endpoint): boolean => isOpen(states, endpoint, tried);
    const target = (endpoint: Endpoint): boolean => open(endpoint) && isAllowed(endpoint, only);
    return grouping.groupsOf(endpoints).some(({ prefills, decodes, leaders }) => {
      if (!prefills.some(open)) return false;
      return handover === 'Router' ? decodes.some(target) : decodes.some(open) && leaders.some(target);
    });
  }

  /**
   * Chooses a pair, or a decoder alone, and leaves as the candidates those whom the front door may send to: the
   * group's leaders, or the decoder. There is a group, as `hasGroup` has said.
   */
  choose(query: PairQuery, candidates: Candidates): void {
    const { pairs, costs, random } = this;
    const { parts, topology, request, attempts } = query;
    this.by = topology.handover;
    this.stages = topology.stages;
    this.prefilled = attempts.prefilled;
    this.arrange(query);
    this.sum(query);
    const mayBeAlone = sparesPrefillers(topology) && attempts.prefilled === null;
    if (!mayBeAlone || !pickAlone(pairs, costs, topology.disaggregateAbove, random))
      parts.picker.pick(request, pairs, costs);
    candidates.clear();
    candidates.promptTokens = pairs.promptTokens;
    if (!pairs.led) {
      candidates.push(pairs.decodes.endpoints[pairs.decode]);
      return;
    }
    for (let i = pairs.leaderStarts[pairs.group]; i < pairs.leaderStarts[pairs.group + 1]; i++)
      candidates.push(pairs.leaders.endpoints[i]);
  }

  /** The pair that was chosen last; null where a decoder was chosen alone. */
  handover(): Handover | null {
    const { by, stages } = this;
    const { prefills, decodes, prefill, decode } = this.pairs;
    if (prefill < 0) return null;
    return { prefill: prefills.endpoints[prefill], decode: decodes.endpoints[decode], by, stages };
  }

  /** Prompt tokens that the prefiller, or the decoder that was chosen alone, has cached. */
  cachedTokens(): number {
    const { promptTokens, prefills, decodes, prefill, decode } = this.pairs;
    return Math.min(promptTokens, prefill < 0 ? decodes.cachedTokens[decode] : prefills.cachedTokens[prefill]);
  }

  /** Tells who holds the prompt's KV blocks from now on: who computes them, and a decoder that the router hands them to. */
  routed(request: InferenceRequest, source: PrefixSource): void {
    const { led, prefills, decodes, prefill, decode } = this.pairs;
    if (prefill >= 0 && this.prefilled === null) source.routed(request, prefills.slots[prefill]);
    if (!led) source.routed(request, decodes.slots[decode]);
  }

  /** Takes a place with the endpoint and with the pair that was chosen last. */
  reserve(endpoint: Endpoint, charges: readonly PairCharges[]): PairReservation {
    const { promptTokens, prefills, decodes, prefill, decode } = this.pairs;
    const isComputed = this.prefilled !== null;
    const load = {
      prefillSlot: prefill < 0 || isComputed ? -1 : prefills.slots[prefill],
      decodeSlot: decodes.slots[decode],
      promptTokens,
      uncachedTokens: isComputed ? 0 : promptTokens - this.cachedTokens(),
    };
    return new PairReservation(this.states, endpoint.slot, load, charges);
  }

  /** Fills the pairs: whole groups only, cold members for their share of decisions. */
  private arrange(query: PairQuery): void {
    const { pairs } = this;
    const { backend, topology, profile, request } = query;
    const groups = topology.grouping.groupsOf(backend.group.endpoints);
    this.draw = -1;
    pairs.clear();
    pairs.led = topology.handover === 'Leader';
    for (const group of groups) this.gather(group, query, true);
    // A fleet whose groups are all cold still serves.
    if (pairs.length === 0) for (const group of groups) this.gather(group, query, false);
    const { prefills, decodes } = pairs;
    const { prefixSource } = backend.group;
    pairs.promptTokens = request.prompt.tokens;
    prefills.promptTokens = pairs.promptTokens;
    decodes.promptTokens = pairs.promptTokens;
    if (profile.parts.readsHits) prefixSource.match(request, prefills, prefills.cachedTokens);
    if (sparesPrefillers(topology)) prefixSource.match(request, decodes, decodes.cachedTokens);
  }

  private gather(group: PairGroup, query: PairQuery, sparing: boolean): void {
    const { pairs } = this;
    const { prefills, decodes, leaders } = group;
    for (let i = 0; i < prefills.length; i++) {
      if (!this.isPrefill(prefills[i], query) || (sparing && this.isSpared(prefills[i].slot))) continue;
      pairs.pushPrefill(group, i);
    }
    for (const decode of decodes) {
      if (!this.isDecode(decode, query) || (sparing && this.isSpared(decode.slot))) continue;
      pairs.decodes.push(decode);
    }
    if (pairs.led) this.gatherLeaders(leaders, query);
    pairs.close(group);
  }

  private gatherLeaders(leaders: readonly Endpoint[], query: PairQuery): void {
    for (const leader of leaders) if (this.isLeader(leader, query)) this.pairs.leaders.push(leader);
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

  private hasPrefill({ prefills }: PairGroup, query: PairQuery): boolean {
    for (const prefill of prefills) if (this.isPrefill(prefill, query)) return true;
    return false;
  }

  private hasDecode({ decodes }: PairGroup, query: PairQuery): boolean {
    for (const decode of decodes) if (this.isDecode(decode, query)) return true;
    return false;
  }

  private hasLeader({ leaders }: PairGroup, query: PairQuery): boolean {
    if (query.topology.handover === 'Router') return true;
    for (const leader of leaders) if (this.isLeader(leader, query)) return true;
    return false;
  }

  private isPrefill(endpoint: Endpoint, query: PairQuery): boolean {
    const { pair, prefilled } = query.attempts;
    // What it has computed can be read from it whatever becomes of it.
    if (prefilled !== null) return endpoint === prefilled;
    return (pair === null || endpoint.address === pair.prefill) && this.isMember(endpoint, query);
  }

  private isDecode(endpoint: Endpoint, query: PairQuery): boolean {
    const { pair, only } = query.attempts;
    if (pair !== null && endpoint.address !== pair.decode) return false;
    if (query.topology.handover === 'Router' && !isAllowed(endpoint, only)) return false;
    return this.isMember(endpoint, query);
  }

  private isLeader(endpoint: Endpoint, query: PairQuery): boolean {
    return isAllowed(endpoint, query.attempts.only) && this.isMember(endpoint, query);
  }

  private isMember(endpoint: Endpoint, { attempts, profile, request }: PairQuery): boolean {
    return isOpen(this.states, endpoint, attempts.tried) && keptByAll(profile.parts.filters, request, endpoint);
  }
}
