import { expect } from 'vitest';
import type { Client } from '../testkit/client.ts';
import type { Ask } from './said.ts';

/** What tells an engine to keep the blocks of a prompt for another. */
const forAnother = {
  do_remote_decode: true,
  do_remote_prefill: false,
  remote_engine_id: null,
  remote_block_ids: null,
  remote_host: null,
  remote_port: null,
};

/**
 * The first half of a hand-over in its simplest form: what only shows that two engines can do it. Has a prefiller compute the
 * prompt and resolves to what a decoder is to be asked: the same, with what the prefiller said of its blocks.
 */
export async function prefilled(prefiller: Client, { path, body }: Ask): Promise<Ask> {
  const answer = await prefiller.post(path, { ...body, max_tokens: 1, min_tokens: 1, kv_transfer_params: forAnother });
  expect([answer.status, answer.text]).toEqual([200, expect.stringContaining('"choices"')]);
  const { kv_transfer_params } = JSON.parse(answer.text) as { kv_transfer_params: object | null };
  return { path, body: kv_transfer_params === null ? body : { ...body, kv_transfer_params } };
}
