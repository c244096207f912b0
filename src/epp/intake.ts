import { checkJson, checkMethod, servedRoute } from '../openai/admission.ts';
import { foreknow } from '../openai/foreknow.ts';
import { withModel } from '../openai/members.ts';
import { modelById, modelList } from '../openai/model-list.ts';
import { parsePayload, type Payload } from '../openai/payload.ts';
import type { Resolved } from '../openai/resolve.ts';
import { routeOf } from '../openai/routes.ts';
import { RoutingError } from '../router/errors.ts';
import { nothingForeknown, type Foreknowledge } from '../router/foreknowledge.ts';
import { readsAnyHits } from '../router/profiles.ts';
import type { RoutingTable } from '../router/table.ts';
import type { PickerContext, PickerSettings } from './context.ts';
import type { Taken } from './placement.ts';
import type { RequestHead } from './request-head.ts';
import { allowedBy } from './subset.ts';
import { takerOf, takerOfBodiless } from './taker.ts';

/** Where a request's headers lead: to an engine by its path there, or to an answer of the table as JSON. */
export type Way = { readonly path: string } | { readonly answer: string };

/** What has been read of a whole request. */
export interface Intake {
  readonly taken: Taken;
  /** Null for a request without a body. */
  readonly payload: Payload | null;
  /** The model that a trusted header puts in the place of the body's; null where none does. */
  readonly rewrite: string | null;
}

/** Decides by its headers what becomes of a request. Throws RoutingError. */
export function wayOf(head: RequestHead, table: RoutingTable, settings: PickerSettings): Way {
  // The conformance tests of the Inference Extension ask for paths of their own.
  if (settings.conformance && routeOf(head.path) === null) return { path: head.path };
  const route = servedRoute(head.path);
  checkMethod(route, head.method);
  if (route.kind === 'models') return { answer: modelList(table) };
  if (route.kind === 'model') return { answer: modelById(table, route.id) };
  checkJson(head.contentType);
  return route;
}

/** What the headers of a request have told. */
export interface Heard {
  readonly head: RequestHead;
  /** The path that engines know. */
  readonly path: string;
  /** The gateway's subset hint; null where it gives none. */
  readonly hint: readonly string[] | null;
  readonly startedAt: number;
}

/** Reads a whole request and finds who takes it; `bytes` is empty where it has no body. Throws RoutingError. */
export function intake(context: PickerContext, heard: Heard, bytes: Buffer): Intake {
  const { head, path, startedAt } = heard;
  const table = context.store.current;
  const payload = bytes.length === 0 ? null : parsePayload(bytes);
  const resolved = payload === null ? takerOfBodiless(table, head) : takerOf(table, payload.model, head);
  const { policy } = resolved;
  const rewrite = payload === null ? null : rewriteOf(context, head, resolved);
  const only = allowedBy(heard.hint, policy);
  const model = rewrite ?? resolved.model;
  const bodyBytes = bytes.length;
  const taken: Taken = { head, bodyBytes, asked: resolved.model, model, policy, path, only, startedAt };
  return { taken, payload, rewrite };
}

/** Refuses what may wait while the engines have no room. Throws RoutingError `saturated`. */
export function admit(context: PickerContext, { head, policy, only }: Taken): void {
  const { settings, router } = context;
  const objective = head.get('x-llm-d-inference-objective') ?? head.get('x-gateway-inference-objective');
  if (objective === undefined || settings.priorityOf(objective) >= 0) return;
  if (!router.isSaturated(policy, settings.saturation, only)) return;
  throw new RoutingError('saturated', 'the engines have no room for requests of this priority; try again soon', {
    source: 'backend',
    retryable: true,
  });
}

/** What the decision must know beforehand; a promise where it has to be asked for. */
export function knownOf({ taken, payload }: Intake): Foreknowledge | Promise<Foreknowledge> {
  const { policy, model, path } = taken;
  if (payload === null || !readsAnyHits(policy)) return nothingForeknown;
  return foreknow(policy, { model, path, payload });
}

/** The body that goes to the engine: as it came, but for the model's name where the engine has another. */
export function bodyFor(bytes: Buffer, rewriteModel: string | null): Buffer {
  return rewriteModel === null ? bytes : withModel(bytes, rewriteModel);
}

/** A trusted header may name another model that the same policy takes. */
function rewriteOf({ settings, store }: PickerContext, head: RequestHead, { policy, model }: Resolved): string | null {
  if (!settings.trustHeaders) return null;
  const wanted = head.get('x-llm-d-model-name-rewrite') ?? head.get('x-gateway-model-name-rewrite');
  if (wanted === undefined || wanted === '' || wanted === model) return null;
  return store.current.match(wanted, head) === policy ? wanted : null;
}
