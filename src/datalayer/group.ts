import type { Endpoint, EndpointSeed } from '../router/endpoint.ts';
import { Flag } from '../router/states.ts';
import type { FleetContext, Pace } from './context.ts';
import { Member, type MemberOwner } from './member.ts';
import { unionOfModels } from './models.ts';
import type { GroupHealth } from './passive-health.ts';
import type { FleetChange, FleetEvent, FleetEventType, GroupSummary, MemberStatus } from './report.ts';
import { identity, SlotsExhaustedError, type SlotAllocator } from './slots.ts';
import { veteranAfter } from './slow-start.ts';
import type { GroupTarget } from './targets.ts';

/** What a group works with, and whom it tells. */
export interface GroupOwner {
  readonly context: FleetContext;
  readonly allocator: SlotAllocator;
  /** Milliseconds in which the endpoints that start now have their first health probe. */
  readonly spread: number;
  paceOf(namespace: string): Readonly<Pace>;
  joined(member: Member, group: Group): void;
  left(member: Member): void;
  restarted(slot: number): void;
  changed(key: string, change: FleetChange): void;
  event(event: FleetEvent): void;
}

/** Consecutive slots fall into places of the interval that are far apart, and any number of them evenly. */
const goldenRatio = 0.6180339887498949;
const noEndpoints: readonly Endpoint[] = Object.freeze([]);
const noModels: readonly string[] = Object.freeze([]);

/** The endpoints of one backend group. */
export class Group implements MemberOwner {
  target: GroupTarget;
  endpoints: readonly Endpoint[] = noEndpoints;
  models: readonly string[] = noModels;
  /** Endpoints for which the router has no room. */
  shutOut: readonly EndpointSeed[] = [];
  /** Endpoints that it may have at most, as last admitted: its part of its namespace's share of the slots. */
  limit = Infinity;
  readonly pace: Readonly<Pace>;
  private readonly owner: GroupOwner;
  private readonly members = new Map<string, Member>();

  constructor(owner: GroupOwner, target: GroupTarget) {
    this.owner = owner;
    this.target = target;
    this.pace = owner.paceOf(target.namespace);
  }

  /**
   * Lets go of the endpoints that the target lacks or that are beyond the limit, before any group takes new ones: their
   * slots may be needed.
   */
  dismiss(target: GroupTarget | null, limit: number): void {
    const kept = new Set(target === null ? [] : this.shared(target, limit).map((seed) => identity(target.key, seed)));
    for (const [key, member] of this.members) {
      if (kept.has(key)) continue;
      this.members.delete(key);
      member.stop();
      this.owner.allocator.release(member.endpoint);
      this.owner.left(member);
    }
  }

  /** Takes over the target's settings, and so many of its endpoints at most. */
  admit(target: GroupTarget, limit: number): void {
    this.target = target;
    this.limit = limit;
    const endpoints: Endpoint[] = [];
    const shutOut: EndpointSeed[] = [];
    const seeds = this.shared(target, limit);
    for (const seed of seeds) {
      const endpoint = this.take(seed);
      if (endpoint === null) shutOut.push(seed);
      else endpoints.push(endpoint);
    }
    if (limit < Infinity) {
      const within = new Set(seeds);
      shutOut.push(...withoutRepeats(target).filter((seed) => !within.has(seed)));
    }
    this.complain(shutOut);
    this.shutOut = shutOut;
    if (!sameItems(this.endpoints, endpoints)) this.endpoints = Object.freeze(endpoints);
    this.learn();
  }

  /** Whether it has all that it may have. */
  get isFull(): boolean {
    return this.shutOut.length === 0 || this.members.size >= this.limit;
  }

  statuses(): readonly MemberStatus[] {
    const gone = this.owner.allocator.draining().filter(({ group }) => group === this.target.key);
    return [
      ...[...this.members.values()].map((member) => member.status()),
      ...this.shutOut.map(({ name, address }) => notReady(name, address, 'NoSlot')),
      ...gone.map(({ name, address }) => notReady(name, address, 'Draining')),
    ];
  }

  summary(): GroupSummary {
    const { states } = this.owner.context;
    const { stretch, probeStretch } = this.pace;
    const usages: number[] = [];
    let ready = 0;
    let ejected = 0;
    for (const { slot } of this.members.values()) {
      if (states.isReady(slot)) ready += 1;
      if (states.has(slot, Flag.ejected)) ejected += 1;
      const isFresh = states.scrapedAt[slot] > 0 && !states.has(slot, Flag.stale) && !states.has(slot, Flag.unready);
      if (isFresh) usages.push(states.usage[slot]);
    }
    const usage = usages.reduce((sum, value) => sum + value, 0) / usages.length;
    return {
      total: this.members.size + this.shutOut.length,
      shutOut: this.shutOut.length,
      ready,
      draining: this.owner.allocator.draining().filter(({ group }) => group === this.target.key).length,
      ejected,
      kvCachePercent: usages.length === 0 ? null : Math.round(usage * 100),
      scrapeSlowed: Math.max(stretch, probeStretch) > 1 && this.members.size > 0,
    };
  }

  /** How the group stands beside one of its members. */
  healthBeside(slot: number): GroupHealth {
    const { states } = this.owner.context;
    let ejected = 0;
    let otherReady = 0;
    for (const member of this.members.values()) {
      if (states.has(member.slot, Flag.ejected)) ejected += 1;
      if (member.slot !== slot && states.isReady(member.slot)) otherReady += 1;
    }
    return { total: this.members.size, ejected, otherReady };
  }

  changed(change: FleetChange): void {
    if (change === 'models' && !this.learn()) return;
    this.owner.changed(this.target.key, change);
  }

  event(type: FleetEventType, member: Member, message: string): void {
    this.owner.event({ type, group: this.target.key, endpoint: member.endpoint.name, message });
  }

  restarted(slot: number): void {
    this.owner.restarted(slot);
  }

  hasVeteran(besides: Member): boolean {
    const before = this.owner.context.clock.now() - veteranAfter;
    for (const member of this.members.values()) {
      if (member !== besides && member.readySince !== null && member.readySince < before) return true;
    }
    return false;
  }

  /** The target's endpoints within the limit; those that have a slot already go first. */
  private shared(target: GroupTarget, limit: number): readonly EndpointSeed[] {
    const seeds = withoutRepeats(target);
    if (seeds.length <= limit) return seeds;
    const held = new Set(seeds.filter((seed) => this.members.has(identity(target.key, seed))));
    const within = new Set([...new Set([...held, ...seeds])].slice(0, limit));
    return seeds.filter((seed) => within.has(seed));
  }

  private take(seed: EndpointSeed): Endpoint | null {
    try {
      const { endpoint, resumed } = this.owner.allocator.take(this.target.key, seed);
      this.enlist(endpoint, resumed, seed.discoveredReady !== false);
      return endpoint;
    } catch (error) {
      if (error instanceof SlotsExhaustedError) return null;
      throw error;
    }
  }

  /** Once when endpoints are left out that were not before: thousands may be at a time. */
  private complain(shutOut: readonly EndpointSeed[]): void {
    const { key: group } = this.target;
    const told = new Set(this.shutOut.map((seed) => identity(group, seed)));
    const first = shutOut.find((seed) => !told.has(identity(group, seed)));
    if (first === undefined) return;
    const { message } = new SlotsExhaustedError(this.owner.context.states.capacity);
    const left = `${shutOut.length} of ${shutOut.length + this.members.size} endpoints are left out: ${message}`;
    this.owner.event({ type: 'SlotsExhausted', group, endpoint: first.name, message: left });
  }

  private enlist(endpoint: Endpoint, resumed: boolean, discoveredReady: boolean): void {
    const key = identity(endpoint.group, endpoint);
    const known = this.members.get(key);
    if (known !== undefined) {
      known.update(endpoint, discoveredReady);
      return;
    }
    const member = new Member(this.owner.context, this, endpoint, resumed);
    this.members.set(key, member);
    this.owner.joined(member, this);
    member.start((endpoint.slot * goldenRatio) % 1, this.owner.spread, discoveredReady);
  }

  /** Whether the union of the models is another one now. */
  private learn(): boolean {
    const lists = [...this.members.values()].flatMap(({ models }) => (models === null ? [] : [models]));
    const models = unionOfModels(lists);
    if (sameItems(this.models, models)) return false;
    this.models = models;
    return true;
  }
}

/** A source that names an endpoint twice means one. */
function withoutRepeats({ key, endpoints }: GroupTarget): EndpointSeed[] {
  const seen = new Set<string>();
  return endpoints.filter((seed) => seen.size < seen.add(identity(key, seed)).size);
}

function notReady(name: string, address: string, reason: MemberStatus['reason']): MemberStatus {
  return { name, address, ready: false, reason, staleSince: null };
}

function sameItems<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((item, i) => item === b[i]);
}
