import { candidatesOf, endpoint, promptOf, request } from '../../fixtures/fleet.ts';
import { wallClock } from '../../../src/commands/wall-clock.ts';
import { ApproximateIndex } from '../../../src/indexer/approximate.ts';
import { connectRedis, type RedisTarget } from '../../../src/indexer/shared/connection.ts';
import { SharedPrefixStore, type SharedPrefixState } from '../../../src/indexer/shared/shared-prefix-store.ts';
import { blockBytes } from '../../../src/router/prompt.ts';
import { until } from '../testkit/until.ts';

export const prefixKey = Buffer.alloc(32, 'the same in all replicas ');
export const stream = 'hermes:{ns/group}:prefixes';

interface ReplicaOptions {
  target: Partial<RedisTarget> & { port: number };
  engines?: number;
  startedAt?: (slot: number) => number;
  key?: Buffer;
  stream?: string;
}

const open = new Set<Replica>();

/** The index and the shared store of one router, with engines e0, e1, … at its slots. */
export class Replica {
  readonly index = new ApproximateIndex();
  readonly store: SharedPrefixStore;
  readonly states: SharedPrefixState[] = [];

  constructor({ target, engines = 4, startedAt = () => 0, key = prefixKey, stream: name = stream }: ReplicaOptions) {
    this.store = new SharedPrefixStore({
      connect: () => connectRedis({ host: '127.0.0.1', ...target }, wallClock),
      index: this.index,
      prefixKey: key,
      stream: name,
      clock: wallClock,
      random: Math.random,
      startedAt,
      onState: (state) => this.states.push(state),
    });
    this.know(Array.from({ length: engines }, (_, slot) => slot));
    open.add(this);
  }

  /** Engine e`n` is at the slot of that place. */
  know(numbers: readonly number[]): void {
    this.store.reconcile(numbers.map((n, slot) => ({ ...endpoint(n), slot })));
  }

  /** A request whose prompt has a block for each letter goes to the slot. */
  route(letters: string, slot: number): void {
    this.store.routed(ask(letters), slot);
  }

  /** Blocks of that prompt that are held to be cached at the slot. */
  found(letters: string, slot: number): number {
    const candidates = candidatesOf([endpoint(slot)], 1e9);
    this.store.match(ask(letters), candidates, candidates.cachedTokens);
    return candidates.cachedTokens[0] / (blockBytes / 4);
  }

  learns(letters: string, slot: number): Promise<boolean> {
    return until(`e${slot} is known for ${letters}`, () => this.found(letters, slot) === letters.length);
  }

  connected(): Promise<boolean> {
    return until('the store is connected', () => this.store.state.connected);
  }

  warm(): Promise<boolean> {
    return until('what others know is read', () => this.store.state.warm);
  }

  parted(reason: SharedPrefixState['reason']): Promise<boolean> {
    return until(
      `the store is away: ${reason}`,
      () => !this.store.state.connected && this.store.state.reason === reason,
    );
  }

  close(): void {
    this.store.close();
    open.delete(this);
  }
}

export function closeReplicas(): void {
  for (const replica of open) replica.close();
}

function ask(letters: string) {
  return request({ prompt: promptOf([...letters].map((letter) => letter.repeat(blockBytes)).join('')) });
}
