import type { BackendGroup } from '../../api/backend-group.ts';
import { parseDuration } from '../../api/duration.ts';
import type { Tokenizer as TokenizerSpec } from '../../api/kv-cache.ts';
import { keyOf } from '../../controller/compile.ts';
import type { Fleet } from '../../datalayer/fleet.ts';
import type { TokenIds, Tokenizer, TokenMiss } from '../../indexer/tokens/contract.ts';
import { createEngineTokenizer, defaultTokenTimeout } from '../../indexer/tokens/engine-tokenizer.ts';
import { createLocalTokenizer } from '../../indexer/tokens/local-tokenizer.ts';
import { TokenMemory } from '../../indexer/tokens/memory.ts';
import { tokenizerFolder, TokenizerFolderError } from '../../indexer/tokens/tokenizer-folder.ts';
import { errorText, type Log } from '../../observability/log.ts';
import type { Clock } from '../../router/clock.ts';
import type { LookupQuery, PromptTokens, TokenLookup } from '../../router/foreknowledge.ts';
import type { Connection } from '../../router/policy.ts';
import type { EndpointStates } from '../../router/states.ts';

export interface TokenLookupsOptions {
  readonly fleet: Fleet;
  readonly states: EndpointStates;
  /** Folder with the folders of mounted tokenizers; empty where none are mounted. */
  readonly tokenizers: string;
  readonly clock: Clock;
  readonly log: Log;
}

interface Open {
  /** A change of either makes a new one. */
  readonly settings: string;
  readonly connection: Connection;
  readonly tokenizer: Tokenizer;
  readonly lookup: TokenLookup;
}

const byEngine: TokenizerSpec = { type: 'Engine', timeout: `${defaultTokenTimeout}ms` };

/** Who makes the tokens of each group's prompts. */
export class TokenLookups {
  /** Prompts without tokens, by reason. */
  readonly misses = new Map<TokenMiss, number>();
  private readonly options: TokenLookupsOptions;
  private readonly memory = new TokenMemory();
  private readonly groups = new Map<string, Open>();

  constructor(options: TokenLookupsOptions) {
    this.options = options;
  }

  /** The lookup of a group that goes by events; undefined where nobody is to make tokens. */
  of(group: BackendGroup, connection: Connection): TokenLookup | undefined {
    const { tokenizer = byEngine } = group.spec.kvCache;
    const key = keyOf(group.metadata);
    const settings = JSON.stringify(tokenizer);
    const known = this.groups.get(key);
    if (known?.settings === settings && known.connection === connection) return known.lookup;
    this.drop(key);
    const made = this.make(key, tokenizer, connection);
    if (made === null) return undefined;
    const open = { settings, connection, tokenizer: made, lookup: this.lookup(key, made) };
    this.groups.set(key, open);
    return open.lookup;
  }

  /** Closes those of all other groups. */
  retain(keys: ReadonlySet<string>): void {
    for (const key of this.groups.keys()) if (!keys.has(key)) this.drop(key);
  }

  private make(key: string, spec: TokenizerSpec, connection: Connection): Tokenizer | null {
    const { clock, tokenizers } = this.options;
    const common = {
      clock,
      random: Math.random,
      memory: this.memory,
      timeout: parseDuration(spec.timeout),
      onMiss: (reason: TokenMiss) => this.misses.set(reason, (this.misses.get(reason) ?? 0) + 1),
    };
    if (spec.type === 'Engine') {
      return createEngineTokenizer({ ...common, connection, isReady: (address) => this.isReady(key, address) });
    }
    if (spec.type === 'Bytes') return null;
    try {
      const folder = tokenizerFolder(tokenizers === '' ? null : tokenizers, spec.local.name);
      const onFault = (error: Error): void => this.unusable(key, error);
      return createLocalTokenizer({ ...common, folder, onFault });
    } catch (error) {
      if (!(error instanceof TokenizerFolderError)) throw error;
      this.unusable(key, error);
      return null;
    }
  }

  private unusable(group: string, error: Error): void {
    this.options.log.error('a tokenizer cannot be used; hits are guessed', { group, error: errorText(error) });
  }

  private lookup(key: string, tokenizer: Tokenizer): TokenLookup {
    return (query) => {
      const ids = tokenizer.tokens(query);
      return ids instanceof Promise ? ids.then((late) => this.prompt(key, query, late)) : this.prompt(key, query, ids);
    };
  }

  private prompt(key: string, { model, body }: LookupQuery, ids: TokenIds | null): PromptTokens | null {
    if (ids === null) return null;
    const { cache_salt: salt } = body;
    return { ids, lora: this.isAdapter(key, model) ? model : '', salt: typeof salt === 'string' ? salt : '' };
  }

  /** A name that is a model's for some engine and an adapter's for others is the model's. */
  private isAdapter(key: string, model: string): boolean {
    let adapter = false;
    for (const { slot } of this.options.fleet.endpoints(key)) {
      const served = this.options.fleet.served(slot);
      if (served?.base.includes(model) === true) return false;
      adapter ||= served?.adapters.includes(model) === true;
    }
    return adapter;
  }

  private isReady(key: string, address: string): boolean {
    const { fleet, states } = this.options;
    const endpoint = fleet.endpoints(key).find((one) => one.address === address);
    return endpoint !== undefined && states.isReady(endpoint.slot);
  }

  private drop(key: string): void {
    const open = this.groups.get(key);
    this.groups.delete(key);
    open?.tokenizer.close().catch((error: unknown) => {
      this.options.log.warn('closing a tokenizer failed', { error: errorText(error) });
    });
  }
}
