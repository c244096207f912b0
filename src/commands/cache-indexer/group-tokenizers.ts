import type { PromptTokenizer, ServingPod } from '../../indexer/serve/roster.ts';
import type { Tokenizer, TokenMiss } from '../../indexer/tokens/contract.ts';
import { createEngineTokenizer } from '../../indexer/tokens/engine-tokenizer.ts';
import { TokenMemory } from '../../indexer/tokens/memory.ts';
import { errorText, type Log } from '../../observability/log.ts';
import type { Clock } from '../../router/clock.ts';
import type { Connection } from '../../router/policy.ts';

/** Milliseconds that a question waits for its tokens; who asks has a time-out of its own. */
const timeout = 1000;

type Body = Readonly<Record<string, unknown>>;

export interface GroupTokenizersOptions {
  /** Key of the group of the engine at an address; null where there is none. */
  readonly groupOf: (address: string) => string | null;
  /** Whether the engine at an address may be asked now. */
  readonly isReady: (address: string) => boolean;
  readonly clock: Clock;
  readonly log: Log;
}

interface Open {
  readonly connection: Connection;
  readonly tokenizer: Tokenizer;
}

/** Token ids by the engines of a model, one group after the other: those of a group are reached in one way. */
export class GroupTokenizers implements PromptTokenizer {
  /** Prompts without token ids, by reason. */
  readonly misses = new Map<TokenMiss, number>();
  private readonly options: GroupTokenizersOptions;
  private readonly memory = new TokenMemory();
  private readonly groups = new Map<string, Open>();

  constructor(options: GroupTokenizersOptions) {
    this.options = options;
  }

  /** These groups are there, and reached so. */
  retain(connections: ReadonlyMap<string, Connection>): void {
    for (const [key, open] of this.groups) {
      if (connections.get(key) === open.connection) continue;
      this.groups.delete(key);
      this.close(open);
    }
    for (const [key, connection] of connections)
      if (!this.groups.has(key)) this.groups.set(key, { connection, tokenizer: this.open(connection) });
  }

  async tokenize(model: string, body: Body, pods: readonly ServingPod[]): Promise<Uint32Array | null> {
    const path = body.messages === undefined || body.messages === null ? '/v1/completions' : '/v1/chat/completions';
    for (const [key, candidates] of this.byGroup(pods)) {
      const tokenizer = this.groups.get(key)?.tokenizer;
      const ids = tokenizer === undefined ? null : await tokenizer.tokens({ model, path, body, candidates });
      if (ids !== null) return ids;
    }
    return null;
  }

  private byGroup(pods: readonly ServingPod[]): Map<string, string[]> {
    const groups = new Map<string, string[]>();
    for (const { address } of pods) {
      const key = this.options.groupOf(address);
      if (key === null) continue;
      const known = groups.get(key);
      if (known === undefined) groups.set(key, [address]);
      else known.push(address);
    }
    return groups;
  }

  private open(connection: Connection): Tokenizer {
    const { isReady, clock } = this.options;
    return createEngineTokenizer({
      connection,
      isReady,
      clock,
      random: Math.random,
      memory: this.memory,
      timeout,
      onMiss: (reason) => this.misses.set(reason, (this.misses.get(reason) ?? 0) + 1),
    });
  }

  private close({ tokenizer }: Open): void {
    tokenizer.close().catch((error: unknown) => {
      this.options.log.warn('closing a tokenizer failed', { error: errorText(error) });
    });
  }
}
