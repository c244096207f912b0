import { isAscii } from 'node:buffer';
import { nothingForeknown, type Foreknowledge, type LookupQuery, type PromptTokens } from '../router/foreknowledge.ts';
import type { Backend, RoutingPolicy } from '../router/policy.ts';
import type { Payload } from './payload.ts';

/** A request as those see it who are asked about it. */
export interface Asked {
  /** The model that the client named. */
  readonly model: string;
  /** The path that engines know. */
  readonly path: string;
  readonly payload: Payload;
}

/**
 * Finds out what a decision by the policy must know beforehand: hits from the external KV managers of its groups, and
 * the prompt's tokens. The one await before a decision, and none where all is at hand.
 */
export function foreknow(policy: RoutingPolicy, asked: Asked): Foreknowledge | Promise<Foreknowledge> {
  if (!policy.backends.some(isAsked)) return nothingForeknown;
  const found = new Found();
  // The parsed body holds bytes where it was read as latin1, which are the text itself only while they are ASCII.
  const { payload } = asked;
  const body = payload.utf8 || isAscii(payload.bytes) ? payload.body : textOf(payload);
  for (const backend of policy.backends) {
    if (isAsked(backend)) found.ask(backend, { path: asked.path, body, model: backend.rewriteModel ?? asked.model });
  }
  return found.settle();
}

const isAsked = ({ group }: Backend): boolean => group.managerLookup !== undefined || group.tokenLookup !== undefined;

class Found implements Foreknowledge {
  managerHits: Map<string, number> | null = null;
  tokens: Map<string, PromptTokens> | null = null;
  private readonly waiting: Promise<void>[] = [];

  ask({ group }: Backend, rest: Omit<LookupQuery, 'candidates'>): void {
    const { managerLookup, tokenLookup } = group;
    const query = { ...rest, candidates: group.endpoints.map(({ address }) => address) };
    if (managerLookup !== undefined) this.waiting.push(managerLookup(query).then((hits) => this.takeHits(hits)));
    if (tokenLookup === undefined) return;
    const tokens = tokenLookup(query);
    if (tokens instanceof Promise) this.waiting.push(tokens.then((made) => this.takeTokens(group.key, made)));
    else this.takeTokens(group.key, tokens);
  }

  settle(): Foreknowledge | Promise<Foreknowledge> {
    return this.waiting.length === 0 ? this : Promise.all(this.waiting).then(() => this);
  }

  private takeHits(hits: ReadonlyMap<string, number> | null): void {
    this.managerHits ??= new Map();
    for (const [address, share] of hits ?? []) this.managerHits.set(address, share);
  }

  private takeTokens(group: string, tokens: PromptTokens | null): void {
    if (tokens === null) return;
    this.tokens ??= new Map();
    this.tokens.set(group, tokens);
  }
}

function textOf(payload: Payload): Readonly<Record<string, unknown>> {
  const parsed: unknown = JSON.parse(payload.bytes.toString('utf8'));
  return typeof parsed === 'object' && parsed !== null ? { ...parsed } : {};
}
