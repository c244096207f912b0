import type { BlockIndex } from '../../indexer/blocks/block-index.ts';
import type { KVEventCounters } from '../../indexer/events/counters.ts';
import type { StreamPhase } from '../../indexer/events/stream.ts';
import type { TokenMiss } from '../../indexer/tokens/contract.ts';
import type { GaugeSource } from '../../observability/metrics.ts';
import type { SharedStores } from './shared-stores.ts';

/** A gauge without labels; no sample while there is nothing to read. */
const single = (name: string, help: string, value: () => number | undefined): GaugeSource => ({
  name,
  help,
  read: () => {
    const read = value();
    return read === undefined ? [] : [{ value: read }];
  },
});

/** What the index of KV events holds and could not take in. */
export function indexGauges(index: () => BlockIndex | undefined): GaugeSource[] {
  const counters = () => index()?.counters;
  return [
    single('hermes_kv_index_blocks', 'Blocks that some engine holds, each counted once.', () => counters()?.blocks),
    single('hermes_kv_index_placements', 'Blocks by engine and tier.', () => counters()?.placements),
    single('hermes_kv_index_bytes', 'Memory that the index can come to take.', () => index()?.bytes),
    single(
      'hermes_kv_index_refused_total',
      'Blocks not taken in because a bound was reached.',
      () => counters()?.refused,
    ),
    single('hermes_kv_index_orphans_total', 'Blocks whose parent was not known.', () => counters()?.orphans),
    single(
      'hermes_kv_index_removed_unknown_total',
      'Removals of blocks that were not known.',
      () => counters()?.removedUnknown,
    ),
  ];
}

const eventCounters = [
  ['hermes_kv_event_messages_total', 'Batches of KV events taken in, replayed ones included.', 'messages'],
  ['hermes_kv_events_total', 'KV events taken in.', 'events'],
  ['hermes_kv_event_blocks_stored_total', 'Blocks that engines have stored.', 'blocksStored'],
  ['hermes_kv_event_blocks_removed_total', 'Blocks that engines have removed.', 'blocksRemoved'],
  ['hermes_kv_event_gaps_total', 'Sequence numbers that jumped.', 'gaps'],
  ['hermes_kv_event_replays_total', 'Replays asked for.', 'replays'],
  ['hermes_kv_event_replay_failures_total', 'Replays that gave nothing in time.', 'replayFailures'],
  ['hermes_kv_event_restarts_total', 'Engines found to have started anew.', 'restarts'],
  ['hermes_kv_event_dropped_total', 'Caches forgotten because events were lost for good.', 'dropped'],
  ['hermes_kv_event_disconnects_total', 'Connections to engines lost.', 'disconnects'],
] as const;

/** What engines have told and what went wrong with it. */
export function eventGauges(counters: () => KVEventCounters | undefined): GaugeSource[] {
  return [
    ...eventCounters.map(([name, help, field]) => single(name, help, () => counters()?.[field])),
    {
      name: 'hermes_kv_event_malformed_total',
      help: 'Messages and events that were not understood, by reason.',
      read: () => Object.entries(counters()?.malformed ?? {}).map(([reason, value]) => ({ labels: { reason }, value })),
    },
  ];
}

const phases: readonly StreamPhase[] = ['connecting', 'replaying', 'live', 'given_up'];

/** Engines by how their events are followed. */
export function streamGauge(states: () => readonly { readonly phase: StreamPhase }[]): GaugeSource {
  return {
    name: 'hermes_kv_event_streams',
    help: 'Engines by the state of their streams of KV events.',
    read: () => {
      const known = states();
      return phases.map((phase) => ({
        labels: { phase },
        value: known.filter((state) => state.phase === phase).length,
      }));
    },
  };
}

const shared = [
  ['hermes_shared_prefix_sent_total', 'Entries written to shared prefix stores.', 'sent'],
  ['hermes_shared_prefix_received_total', 'Entries of other replicas taken in.', 'received'],
  ['hermes_shared_prefix_blocks_learned_total', 'Blocks learned from other replicas.', 'learnedBlocks'],
  ['hermes_shared_prefix_dropped_total', 'Entries left out while a store was away or slow.', 'dropped'],
  ['hermes_shared_prefix_foreign_total', 'Entries that do not open: another key, or rubbish.', 'foreign'],
  ['hermes_shared_prefix_failures_total', 'Connections to shared prefix stores that failed or broke.', 'failures'],
] as const;

/** What replicas tell each other by Redis or Valkey. */
export function storeGauges(stores: () => SharedStores | undefined): GaugeSource[] {
  return [
    ...shared.map(([name, help, count]) => single(name, help, () => stores()?.sum(count))),
    {
      name: 'hermes_shared_prefix_connected',
      help: 'Whether the prefixes of a group are shared.',
      read: () =>
        [...(stores()?.states() ?? [])].map(([group, state]) => ({ labels: { group }, value: state.shared ? 1 : 0 })),
    },
  ];
}

export function missGauge(misses: () => ReadonlyMap<TokenMiss, number> | undefined): GaugeSource {
  return {
    name: 'hermes_tokenizer_misses_total',
    help: 'Prompts without exact tokens, by reason.',
    read: () => [...(misses() ?? [])].map(([reason, value]) => ({ labels: { reason }, value })),
  };
}
