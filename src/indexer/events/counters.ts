/**
 * Why bytes from an engine were not understood. `frames`, `sequence`: the ZMQ message is none of ours; `batch`: no batch
 * of events; `truncated`: a length goes past the end; `type`, `range`, `limit`: a field of the wrong type, value or size;
 * `field`: a needed field is missing; `replay`: an answer to a replay that is none.
 */
export const malformedReasons = [
  'frames',
  'sequence',
  'batch',
  'truncated',
  'type',
  'range',
  'limit',
  'field',
  'replay',
] as const;
export type MalformedReason = (typeof malformedReasons)[number];

/** What has been taken in and what went wrong since the start; metrics read it, nothing resets it. */
export interface KVEventCounters {
  /** Batches decoded, replayed ones included. */
  messages: number;
  events: number;
  blocksStored: number;
  blocksRemoved: number;
  /** Events of a type that is not known: passed over. */
  unknownEvents: number;
  /** Events of layers whose blocks say nothing of a prefix (sliding windows, state space): passed over. */
  otherGroups: number;
  /** Blocks stored by hash alone, without their tokens: taken in where they are known already. */
  withoutTokens: number;
  /** Blocks stored with more or fewer tokens than their number and size say: passed over. */
  misaligned: number;
  /** Events of a medium that is not known: taken for the farthest tier. */
  unknownMedia: number;
  /** Sequence numbers that jumped. */
  gaps: number;
  /** Replays asked for, and those that gave nothing in time. */
  replays: number;
  replayFailures: number;
  /** Engines found to have started anew. */
  restarts: number;
  /** Holders whose entries were dropped because events were lost for good. */
  dropped: number;
  /** Connections lost. */
  disconnects: number;
  readonly malformed: Record<MalformedReason, number>;
}

export function newCounters(): KVEventCounters {
  return {
    messages: 0,
    events: 0,
    blocksStored: 0,
    blocksRemoved: 0,
    unknownEvents: 0,
    otherGroups: 0,
    withoutTokens: 0,
    misaligned: 0,
    unknownMedia: 0,
    gaps: 0,
    replays: 0,
    replayFailures: 0,
    restarts: 0,
    dropped: 0,
    disconnects: 0,
    malformed: {
      frames: 0,
      sequence: 0,
      batch: 0,
      truncated: 0,
      type: 0,
      range: 0,
      limit: 0,
      field: 0,
      replay: 0,
    },
  };
}
