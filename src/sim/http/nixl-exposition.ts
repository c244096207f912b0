import type { Engine } from '../engine.ts';
import type { Histogram } from './histogram.ts';

/** What the connector itself has counted, of all ranks. */
export interface NixlFigures {
  readonly transferTimes: Histogram;
  readonly transferBytes: Histogram;
  readonly transferDescriptors: Histogram;
  readonly lateNotices: number;
}

/** The metrics of vLLM's NIXL connector, as far as a simulated transfer has them. `model` is an escaped label value. */
export function nixlExposition(engines: readonly Engine[], figures: NixlFigures, model: string): string {
  const labels = `engine="0",model_name="${model}"`;
  const sum = (of: (engine: Engine) => number): number => engines.reduce((total, engine) => total + of(engine), 0);
  const counter = (name: string, help: string, value: number): string =>
    `# HELP ${name} ${help}\n# TYPE ${name} counter\n${name}{${labels}} ${value}\n`;
  const histogram = (name: string, help: string, values: Histogram): string =>
    `# HELP ${name} ${help}\n# TYPE ${name} histogram\n${values.lines(name, 'engine="0"', `model_name="${model}"`)}`;
  return [
    histogram(
      'vllm:nixl_xfer_time_seconds',
      'Histogram of transfer duration for NIXL KV Cache transfers.',
      figures.transferTimes,
    ),
    histogram(
      'vllm:nixl_bytes_transferred',
      'Histogram of bytes transferred per NIXL KV Cache transfers.',
      figures.transferBytes,
    ),
    histogram(
      'vllm:nixl_num_descriptors',
      'Histogram of number of descriptors per NIXL  KV Cache transfers.',
      figures.transferDescriptors,
    ),
    counter(
      'vllm:nixl_num_failed_transfers_total',
      'Number of failed NIXL KV Cache transfers, including handshake and notification failures.',
      sum(({ totals }) => totals.failedTransfers),
    ),
    counter(
      'vllm:nixl_num_kv_expired_reqs_total',
      'Number of requests that had their KV expire. NOTE: This metric is tracked on the P instance.',
      sum(({ totals }) => totals.leaseExpired),
    ),
    counter(
      'vllm:nixl_num_notifications_after_expiry_total',
      'Number of completion notifications for requests that were no longer tracked, usually because their KV lease expired.',
      figures.lateNotices,
    ),
  ].join('');
}
