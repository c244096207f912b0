import { backend, endpoint, group, policy, readyStates } from '../../test/fixtures/fleet.ts';
import { ManualClock } from '../../test/fixtures/manual-clock.ts';
import { InferenceExtensionMetrics } from '../observability/inference-extension-metrics.ts';
import { BodyBudget } from '../openai/body-budget.ts';
import type { Trails } from '../observability/tracing/trail.ts';
import { createLog } from '../observability/log.ts';
import type { RequestResult, Telemetry } from '../observability/telemetry.ts';
import type { Backend, BackendGroup, RoutingPolicy } from '../router/policy.ts';
import { SchedulingProfile, type ProfileParts } from '../router/profile.ts';
import { Router } from '../router/router.ts';
import { defaultBounds } from '../router/saturation.ts';
import type { EndpointStates } from '../router/states.ts';
import { RoutingTable, TableStore } from '../router/table.ts';
import type { CallHandler, CallStream } from './carrier/carrier.ts';
import { EndpointPicker, type PickerSettings } from './endpoint-picker.ts';
import {
  decodeResponse,
  encodeRequest,
  type MetadataFields,
  type PeerRequest,
  type PeerResponse,
} from './wire/peer.fixture.ts';
import { Phase } from './wire/request.ts';

/** A picker before endpoints that nobody listens at, with time in the test's hands. */
export interface Room {
  readonly picker: EndpointPicker;
  readonly clock: ManualClock;
  readonly states: EndpointStates;
  readonly store: TableStore;
  readonly metrics: InferenceExtensionMetrics;
  /** What passive health was told: `slot outcome`. */
  readonly outcomes: string[];
  readonly finished: RequestResult[];
  readonly refused: number[];
  readonly logged: string[];
  started: number;
  retried: number;
}

export interface RoomOptions {
  readonly endpoints?: number;
  readonly policy?: Partial<RoutingPolicy>;
  readonly group?: Partial<BackendGroup>;
  readonly backend?: Partial<Backend>;
  readonly profile?: Partial<ProfileParts>;
  readonly settings?: Partial<PickerSettings>;
  readonly maxBody?: number;
  readonly maxBuffered?: number;
  /** More policies than the one for model `m`. */
  readonly policies?: readonly RoutingPolicy[];
  readonly trails?: Trails;
}

/** Picks the first endpoint that may be picked; the others are fallbacks in their order. */
const inOrder: ProfileParts = {
  filters: [],
  filterTypes: [],
  scorers: [],
  picker: { pick: () => 0 },
  pickerType: 'in-order',
  readsHits: false,
  description: 'in order',
};

export const deadline = 1000;

export function openRoom(options: RoomOptions = {}): Room {
  const count = options.endpoints ?? 3;
  const states = readyStates(count);
  const endpoints = Array.from({ length: count }, (_, slot) => endpoint(slot));
  const served = group({ models: ['m'], endpoints, ...options.group });
  const routed = policy({
    match: { models: ['m'], headers: [] },
    backends: [backend({ group: served, ...options.backend })],
    profile: new SchedulingProfile({ ...inOrder, ...options.profile }),
    ...options.policy,
  });
  const store = new TableStore(
    new RoutingTable(1, [routed, ...(options.policies ?? [])], new Map([[served.key, served]])),
  );
  const counts = { started: 0, retried: 0 };
  const lists = {
    outcomes: [] as string[],
    finished: [] as RequestResult[],
    refused: [] as number[],
    logged: [] as string[],
  };
  const clock = new ManualClock();
  const metrics = new InferenceExtensionMetrics();
  const room = { clock, states, store, metrics, ...counts, ...lists };
  const telemetry: Telemetry = {
    policy: () => ({
      started: () => void (room.started += 1),
      retried: () => void (room.retried += 1),
      finished: (result) => void room.finished.push(result),
    }),
    refused: (status) => void room.refused.push(status),
  };
  const picker = new EndpointPicker({
    ...(options.trails === undefined ? {} : { trails: options.trails }),
    store,
    states,
    router: new Router({ states, random: () => 0 }),
    feedback: { report: (slot, outcome) => void room.outcomes.push(`${slot} ${outcome}`) },
    telemetry,
    metrics,
    clock,
    log: createLog((line) => void room.logged.push(line)),
    bodies: new BodyBudget({
      maxBody: options.maxBody ?? 4 * 1024 * 1024,
      maxBuffered: options.maxBuffered ?? 16 * 1024 * 1024,
    }),
    promptSecret: 1,
    settings: {
      deadline,
      fallbacks: 2,
      trustHeaders: false,
      conformance: false,
      saturation: defaultBounds,
      priorityOf: () => 0,
      ...options.settings,
    },
  });
  return Object.assign(room, { picker });
}

export type Headers = readonly (readonly [string, string])[];
export type Metadata = Readonly<Record<string, MetadataFields>>;

/** One call from Envoy's side. */
export class Call implements CallStream {
  readonly answers: PeerResponse[] = [];
  /** gRPC status and message; null while the call goes on. */
  ended: { readonly status: number; readonly message: string } | null = null;
  paused = false;
  /** What `send` says, which is whether the peer takes more. */
  flowing = true;
  private readonly handler: CallHandler;
  private closed = false;

  constructor(room: Room) {
    this.handler = room.picker.accept(this);
  }

  send(message: Uint8Array): boolean {
    if (this.ended === null && !this.closed) this.answers.push(decodeResponse(Buffer.from(message)));
    return this.flowing;
  }

  end(status: number, message = ''): void {
    if (this.ended !== null || this.closed) return;
    this.ended = { status, message };
    this.close(false);
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  say(request: PeerRequest): this {
    this.raw(encodeRequest(request));
    return this;
  }

  /** The message's bytes are gone after the call, as a carrier's are. */
  raw(bytes: Buffer): this {
    if (this.ended !== null || this.closed) return this;
    this.handler.onMessage(bytes);
    bytes.fill(0xff);
    return this;
  }

  head(
    over: { headers?: Headers; endOfStream?: boolean; metadata?: Metadata; path?: string; method?: string } = {},
  ): this {
    const { headers = [], endOfStream = false, metadata = {}, path = '/v1/chat/completions', method = 'POST' } = over;
    const lines: Headers = [[':method', method], [':path', path], [':authority', 'a'], ...headers];
    return this.say({ phase: Phase.requestHeaders, headers: lines, endOfStream, metadata });
  }

  body(body: Uint8Array | string, endOfStream = false): this {
    return this.say({ phase: Phase.requestBody, body: Buffer.from(body), endOfStream });
  }

  trailers(): this {
    return this.say({ phase: Phase.requestTrailers, headers: [['x-t', '1']] });
  }

  replyHead(status = 200, over: { headers?: Headers; endOfStream?: boolean; served?: string } = {}): this {
    const { headers = [['content-type', 'application/json']], endOfStream = false, served } = over;
    const metadata = served === undefined ? {} : { 'envoy.lb': { 'x-gateway-destination-endpoint-served': served } };
    const lines: Headers = [[':status', String(status)], ...headers];
    return this.say({ phase: Phase.responseHeaders, headers: lines, endOfStream, metadata });
  }

  replyBody(body: Uint8Array | string, endOfStream = false): this {
    return this.say({ phase: Phase.responseBody, body: Buffer.from(body), endOfStream });
  }

  replyTrailers(): this {
    return this.say({ phase: Phase.responseTrailers, headers: [['x-t', '1']] });
  }

  halfClose(): this {
    this.handler.onHalfClose();
    return this;
  }

  drain(): this {
    this.flowing = true;
    this.handler.onDrain();
    return this;
  }

  /** The peer resets the call, or its end has come through. */
  close(broken = true): this {
    if (this.closed) return this;
    this.closed = true;
    this.handler.onClose(broken);
    return this;
  }

  kinds(): string[] {
    return this.answers.map(({ kind }) => kind);
  }

  /** A header that an answer sets; the last answer of that kind. */
  sets(kind: PeerResponse['kind'], name: string): string | undefined {
    return this.answers.findLast((one) => one.kind === kind)?.set.find((header) => header.name === name)?.value;
  }

  bytes(kind: PeerResponse['kind']): Buffer {
    return Buffer.concat(this.answers.filter((one) => one.kind === kind).map(({ body }) => body));
  }

  /** The code of the error that was answered, with its status. */
  error(): string {
    const answer = this.answers.find(({ kind }) => kind === 'immediate');
    if (answer === undefined) return 'none';
    const { error } = JSON.parse(answer.body.toString()) as { error: { code: string } };
    return `${answer.status} ${error.code}`;
  }
}

export const chat = (model = 'm', more: object = {}): string =>
  JSON.stringify({ model, messages: [{ role: 'user', content: 'hi' }], ...more });

/** A call whose request has been answered with a decision. */
export function placed(room: Room, body: string = chat(), headers: Headers = []): Call {
  return new Call(room).head({ headers }).body(body).body('', true);
}

/** Nothing is held any more: what every test may end with. */
export function books({ states, picker, started, finished, clock, metrics }: Room): Record<string, number> {
  // The wheel of deadlines stops at its next look once nobody is in it.
  clock.advance(100);
  const running = metrics.families(() => []).find(({ name }) => name === 'inference_objective_running_requests');
  const sum = (values: ArrayLike<number>): number =>
    Array.from(values).reduce((total, one) => total + Math.abs(one), 0);
  return {
    inFlight: sum(states.inFlight),
    ownWaiting: sum(states.ownWaiting),
    unseenWaiting: sum(states.unseenWaiting),
    newWaiting: sum(states.newWaiting),
    queuedTokens: sum(states.queuedTokens),
    held: picker.bodies.held,
    active: picker.inFlight,
    unfinished: started - finished.length,
    running: sum((running?.samples() ?? []).map(({ value }) => value)),
    alarms: clock.pending,
  };
}

export const emptyBooks = {
  inFlight: 0, ownWaiting: 0, unseenWaiting: 0, newWaiting: 0, queuedTokens: 0, held: 0, active: 0, unfinished: 0,
  running: 0, alarms: 0,
}; // prettier-ignore
