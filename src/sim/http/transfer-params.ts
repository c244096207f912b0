import type { BlockSource } from '../pull.ts';
import { member, type Body } from './body.ts';

/**
 * What a request's `kv_transfer_params` ask of an engine with the NIXL connector. `dead` names what kills a real one (no block ids to
 * pull), `stuck` what it waits for for ever (block ids, but not whose).
 */
export type TransferRequest =
  | { readonly type: 'plain' | 'prefill' | 'dead' | 'stuck' }
  | { readonly type: 'decode'; readonly source: BlockSource; readonly cachedTokens: number | undefined };

/** Reads the params of a request whose fields have been checked; unknown keys and types mean nothing, as in vLLM. */
export function transferRequest(body: Body): TransferRequest {
  const params = body.get('kv_transfer_params');
  if (member(params, 'do_remote_prefill') === true) return decodeRequest(params);
  return { type: member(params, 'do_remote_decode') === true ? 'prefill' : 'plain' };
}

/** Request ids whose blocks nobody will read: openFuyao's engines free them when they hear of them. */
export function abortedRequests(body: Body): readonly string[] {
  const ids = member(body.get('kv_transfer_params'), 'aborted_request');
  return Array.isArray(ids) ? ids.filter((id) => typeof id === 'string') : [];
}

function decodeRequest(params: unknown): TransferRequest {
  const blocks = member(params, 'remote_block_ids');
  if (!Array.isArray(blocks) || blocks.length === 0) return { type: 'dead' };
  const engineId = member(params, 'remote_engine_id');
  const requestId = member(params, 'remote_request_id');
  const host = member(params, 'remote_host');
  const port = member(params, 'remote_port');
  if (typeof engineId !== 'string' || typeof requestId !== 'string') return { type: 'stuck' };
  if (typeof host !== 'string' || !isPort(port)) return { type: 'stuck' };
  const cached = member(params, 'remote_prefill_cached_tokens');
  const cachedTokens = typeof cached === 'number' ? cached : undefined;
  return { type: 'decode', source: { engineId, requestId, host, port }, cachedTokens };
}

function isPort(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= 65_535;
}

/** What a prefiller's answer says of the blocks that it keeps. */
export interface KeptBlocks {
  /** vLLM's numbers: from 1, since block 0 is its null block. */
  readonly blockIds: readonly number[];
  readonly engineId: string;
  readonly requestId: string;
  readonly host: string;
  readonly port: number;
  readonly tpSize: number;
  readonly tokens: number;
  readonly cachedTokens: number;
}

/** The `kv_transfer_params` of a prefiller's answer, keys and order as vLLM 0.32 writes them. */
export function transferParams(kept: KeptBlocks): object {
  return {
    do_remote_prefill: true,
    do_remote_decode: false,
    remote_block_ids: [kept.blockIds],
    remote_engine_id: kept.engineId,
    remote_request_id: kept.requestId,
    remote_host: kept.host,
    remote_port: kept.port,
    tp_size: kept.tpSize,
    dcp_size: 1,
    pp_size: 1,
    remote_num_tokens: kept.tokens,
    remote_blocks_expiry_time: null,
    transfer_mode: 'pull',
    remote_prefill_cached_tokens: kept.cachedTokens,
  };
}
