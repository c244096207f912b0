/** What has gone out and come in, and what had to be left out; numbers only grow. */
export interface SharedPrefixCounters {
  /** Entries written, and their bytes. */
  sent: number;
  sentBytes: number;
  /** Entries of other replicas that were taken in, and their bytes. */
  received: number;
  receivedBytes: number;
  /** Blocks told to others. */
  toldBlocks: number;
  /** Blocks learnt from others. */
  learnedBlocks: number;
  /** Entries left out while the store was away or slow, and requests that came too fast: told again when in use. */
  dropped: number;
  /** Entries that are none of ours: another prefix key, another version, rubbish. */
  foreign: number;
  /** Entries that had been taken in before. */
  repeated: number;
  /** Records of engines that are not known here. */
  unknown: number;
  /** Records of an engine's earlier process. */
  stale: number;
  /** Records whose parent block is not held. */
  orphaned: number;
  /** Connections that failed or broke. */
  failures: number;
}

export function noCounts(): SharedPrefixCounters {
  return {
    sent: 0,
    sentBytes: 0,
    received: 0,
    receivedBytes: 0,
    toldBlocks: 0,
    learnedBlocks: 0,
    dropped: 0,
    foreign: 0,
    repeated: 0,
    unknown: 0,
    stale: 0,
    orphaned: 0,
    failures: 0,
  };
}
