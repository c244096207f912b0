import { setMember, topLevelMembers, withMembers, withoutMember, type Member } from '../../openai/members.ts';
import type { MemberEdit } from '../../openai/members.ts';

/** Asks an engine to compute a prompt and to keep its KV blocks for another engine. */
const opening =
  '"do_remote_decode":true,"do_remote_prefill":false,"remote_engine_id":null,"remote_block_ids":null,"remote_host":null,"remote_port":null';

/**
 * One token, which the decoder computes again: an engine generates at least one. Each limit is set, since engines
 * differ in which one counts, and a client's own may be higher or lower.
 */
const oneToken: readonly MemberEdit[] = [
  setMember('stream', 'false'),
  withoutMember('stream_options'),
  setMember('max_tokens', '1'),
  setMember('max_completion_tokens', '1'),
  setMember('min_tokens', '1'),
  setMember('n', '1'),
];
const keepBlocks = setMember('kv_transfer_params', `{${opening}}`);

/** A request's body and what engines get instead of it; only the bytes of the members that change are new. */
export class Bodies {
  private readonly bytes: Buffer;
  private readonly members: readonly Member[];
  private readonly rename: readonly MemberEdit[];

  /** `bytes` is a valid JSON object; `model` is what the engines call the model where they have another name for it. */
  constructor(bytes: Buffer, model: string | null) {
    this.bytes = bytes;
    this.members = topLevelMembers(bytes);
    this.rename = model === null ? [] : [setMember('model', JSON.stringify(model))];
  }

  /** What the prefiller gets. `aborted` are ids of requests whose blocks nobody will read. */
  prefill(aborted: readonly string[]): Buffer {
    const params =
      aborted.length === 0
        ? keepBlocks
        : setMember('kv_transfer_params', `{${opening},"aborted_request":${JSON.stringify(aborted)}}`);
    return withMembers(this.bytes, [...oneToken, params, ...this.rename], this.members);
  }

  /** What the decoder gets; `params` is the prefiller's JSON as it came, null where it gave none. */
  decode(params: Buffer | null): Buffer {
    const edits = params === null ? this.rename : [setMember('kv_transfer_params', params), ...this.rename];
    return edits.length === 0 ? this.bytes : withMembers(this.bytes, edits, this.members);
  }
}
