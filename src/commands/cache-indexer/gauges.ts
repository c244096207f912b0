import type { BlockIndex } from '../../indexer/blocks/block-index.ts';
import type { KVEventCounters } from '../../indexer/events/counters.ts';
import type { GaugeSource } from '../../observability/metrics.ts';
import type { EngineState } from './engines.ts';

/** What the index holds and could not take in. */
export function indexGauges(index: BlockIndex): GaugeSource[] {
  const one = (name: string, help: string, value: () => number): GaugeSource => ({
    name,
    help,
    read: () => [{ value: value() }],
  });
  return [
    one('hermes_index_blocks', 'Blocks that some engine holds, each counted once.', () => index.counters.blocks),
    one('hermes_index_placements', 'Blocks by engine and tier.', () => index.counters.placements),
    one('hermes_index_bytes', 'Memory that the index can come to take.', () => index.bytes),
    one(
      'hermes_index_blocks_refused_total',
      'Blocks not taken in because a bound was reached.',
      () => index.counters.refused,
    ),
    one('hermes_index_orphans_total', 'Blocks whose parent was not known.', () => index.counters.orphans),
    one(
      'hermes_index_removed_unknown_total',
      'Removals of blocks that were not known.',
      () => index.counters.removedUnknown,
    ),
  ];
}

const eventCounters: readonly (readonly [
  name: string,
  help: string,
  field: Exclude<keyof KVEventCounters, 'malformed'>,
])[] = [
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
];

/** What engines have told and what went wrong with it. */
export function eventGauges(counters: KVEventCounters): GaugeSource[] {
  return [
    ...eventCounters.map(([name, help, field]): GaugeSource => ({
      name,
      help,
      read: () => [{ value: counters[field] }],
    })),
    {
      name: 'hermes_kv_event_malformed_total',
      help: 'Messages and events that were not understood, by reason.',
      read: () => Object.entries(counters.malformed).map(([reason, value]) => ({ labels: { reason }, value })),
    },
  ];
}

/** Engines by how they are followed. */
export function engineGauge(states: () => readonly EngineState[]): GaugeSource {
  return {
    name: 'hermes_indexer_engines',
    help: 'Engines by the state of their streams of KV events.',
    read: () =>
      (['connecting', 'replaying', 'live', 'given_up'] as const).map((phase) => ({
        labels: { phase },
        value: states().filter((state) => state.phase === phase).length,
      })),
  };
}
