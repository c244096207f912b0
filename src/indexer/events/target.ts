import type { Holder } from '../kv-events.ts';
import { maxRanks, type EventSource } from './sources.ts';
import type { StreamPhase } from './stream.ts';

/** An engine whose KV events are wanted. */
export interface EventTarget {
  /** Names the engine for good: another engine at the same address has another key. */
  readonly key: string;
  /** IP address without port or brackets. */
  readonly host: string;
  /** Port of rank 0; rank r is at port + r. */
  readonly eventsPort: number;
  readonly replayPort: number | null;
  /** Data-parallel ranks; at least 1, and what is above 256 is left out. */
  readonly ranks: number;
  readonly topic: string;
  /** `host:port` of the engine's API, asked which ports its ranks have; null to go by what stands here. */
  readonly api: string | null;
}

/** Hands out places for KV caches: the block index. */
export interface HolderRegistry {
  /** A place for one more KV cache, empty; null when there is none left. */
  open(): Holder | null;
  /** The cache is gone with all its entries; its number may be handed out again. */
  close(holder: Holder): void;
}

/** How one rank's stream is doing. */
export interface RankState {
  readonly rank: number;
  readonly holder: Holder | null;
  readonly phase: StreamPhase;
  /** Why it has been given up; empty otherwise. */
  readonly reason: string;
}

/** How one engine's streams are doing. */
export interface TargetState {
  readonly key: string;
  /** `live` when every rank is; else the phase of the rank that is worst off. */
  readonly phase: StreamPhase;
  readonly reason: string;
  readonly ranks: readonly RankState[];
}

/** The sources that a target stands for when its engine does not tell them. */
export function assumedSources({ eventsPort, replayPort, ranks, topic }: EventTarget): EventSource[] {
  return Array.from({ length: Math.min(ranks, maxRanks) }, (_, rank) => ({
    rank,
    eventsPort: eventsPort + rank,
    replayPort: replayPort === null ? null : replayPort + rank,
    topic,
  }));
}

const worstFirst: readonly StreamPhase[] = ['given_up', 'connecting', 'replaying', 'live'];

/** One word for an engine; `reason` for one without streams. */
export function targetState(key: string, ranks: readonly RankState[], reason: string): TargetState {
  if (ranks.length === 0) return { key, phase: reason === '' ? 'connecting' : 'given_up', reason, ranks };
  const phase = worstFirst.find((candidate) => ranks.some((rank) => rank.phase === candidate)) ?? 'live';
  return { key, phase, reason: ranks.find((rank) => rank.reason !== '')?.reason ?? '', ranks };
}
