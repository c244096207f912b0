import type { Adapter } from '../sequence.ts';
import { modelNotFound } from './errors.ts';

/** The model names that an engine serves: the base model, further names of it, and LoRA adapters. */
export class ServedModels {
  /** The base model's first name, which answers carry whatever alias was asked for. */
  readonly base: string;
  readonly aliases: readonly string[];
  readonly adapters: readonly Adapter[];

  constructor(names: readonly string[], adapters: readonly string[]) {
    this.base = names[0];
    this.aliases = names;
    this.adapters = adapters.map((name, i) => ({ name, id: i + 1 }));
  }

  /** The adapter asked for, null for the base model; a request without a model gets the base model. */
  resolve(asked: string | null): Adapter | null {
    if (asked === null || asked === '' || this.aliases.includes(asked)) return null;
    const adapter = this.adapters.find(({ name }) => name === asked);
    if (adapter === undefined) throw modelNotFound(asked, this.names());
    return adapter;
  }

  names(): string[] {
    return [...this.aliases, ...this.adapters.map(({ name }) => name)];
  }

  /** The body of GET /v1/models. */
  list(created: number, maxModelLength: number): object {
    const base = this.aliases.map((name) => ({ name, parent: null }));
    const adapters = this.adapters.map(({ name }) => ({ name, parent: this.base }));
    return {
      object: 'list',
      data: [...base, ...adapters].map(({ name, parent }) => ({
        id: name,
        object: 'model',
        created,
        owned_by: 'vllm',
        root: parent === null ? this.base : name,
        parent,
        max_model_len: parent === null ? maxModelLength : null,
        permission: [permission(name, created)],
      })),
    };
  }
}

function permission(name: string, created: number): object {
  return {
    id: `modelperm-${Buffer.from(name).toString('hex').slice(0, 16)}`,
    object: 'model_permission',
    created,
    allow_create_engine: false,
    allow_sampling: true,
    allow_logprobs: true,
    allow_search_indices: false,
    allow_view: true,
    allow_fine_tuning: false,
    organization: '*',
    group: null,
    is_blocking: false,
  };
}
