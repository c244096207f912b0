import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { backend, endpoint, group, policy, readyStates } from '../../test/fixtures/fleet.ts';
import { ManualClock } from '../../test/fixtures/manual-clock.ts';
import { createLog } from '../observability/log.ts';
import type { HandoverTelemetry, RequestResult } from '../observability/telemetry.ts';
import type { Endpoint } from '../router/endpoint.ts';
import type { Backend, BackendGroup, RoutingPolicy } from '../router/policy.ts';
import { SchedulingProfile, type ProfileParts } from '../router/profile.ts';
import { Router } from '../router/router.ts';
import type { EndpointStates } from '../router/states.ts';
import { RoutingTable, TableStore } from '../router/table.ts';
import { FrontDoor, type FrontDoorDependencies } from './front-door.ts';
import { addressOf, createProxyServer, type ProxyServer } from './server.ts';
import { startEngine, type Answerer, type Engine } from './upstream/engine.fixture.ts';
import { SocketClient } from './upstream/socket-client.ts';

/** A front door on loopback before engines made of bare sockets, with time in the test's hands. */
export interface Door {
  readonly clock: ManualClock;
  readonly frontDoor: FrontDoor;
  readonly server: ProxyServer;
  readonly port: number;
  readonly engines: readonly Engine[];
  readonly states: EndpointStates;
  readonly store: TableStore;
  /** What passive health was told: `slot outcome`. */
  readonly outcomes: string[];
  readonly finished: RequestResult[];
  readonly refused: number[];
  readonly logged: string[];
  /** Calls of hand-overs that have ended: `stage outcome`. */
  readonly stages: string[];
  started: number;
  retried: number;
  abandoned: number;
  noticed: number;
  close(): Promise<void>;
}

export interface DoorOptions {
  readonly policy?: Partial<RoutingPolicy>;
  readonly group?: Partial<BackendGroup>;
  readonly backend?: Partial<Backend>;
  readonly profile?: Partial<ProfileParts>;
  /** Labels of the endpoints, in their order. */
  readonly labels?: readonly Endpoint['labels'][];
  /** What the front door is made with besides. */
  readonly door?: Partial<Pick<FrontDoorDependencies, 'pairs' | 'pages' | 'upstream' | 'trails'>>;
  readonly maxBody?: number;
  readonly maxBuffered?: number;
  /** More policies than the one for model `m`. */
  readonly policies?: readonly RoutingPolicy[];
}

/** Picks the first endpoint that has not been tried: tries are in the order of the engines. */
const inOrder: ProfileParts = {
  filters: [],
  filterTypes: [],
  scorers: [],
  picker: { pick: () => 0 },
  pickerType: 'in-order',
  readsHits: false,
  description: 'in order',
};

export async function openDoor(answers: readonly (Answerer | string)[], options: DoorOptions = {}): Promise<Door> {
  const engines: Engine[] = [];
  const addresses: string[] = [];
  for (const answer of answers) {
    // A text is the address of an engine that is not there.
    if (typeof answer === 'string') {
      addresses.push(answer);
      continue;
    }
    const engine = await startEngine(answer);
    engines.push(engine);
    addresses.push(`127.0.0.1:${engine.target.port}`);
  }
  const states = readyStates(answers.length);
  const store = new TableStore(tableOf(addresses, options));
  const told = { outcomes: [] as string[], finished: [] as RequestResult[], refused: [] as number[] };
  const door = { ...told, logged: [] as string[], stages: [] as string[], started: 0, retried: 0, abandoned: 0, noticed: 0 }; // prettier-ignore
  const telemetry: HandoverTelemetry = {
    policy: () => ({
      started: () => void (door.started += 1),
      retried: () => void (door.retried += 1),
      finished: (result) => void door.finished.push(result),
      stageEnded: (stage, outcome) => void door.stages.push(`${stage} ${outcome}`),
      abandoned: () => void (door.abandoned += 1),
      noticed: (notices) => void (door.noticed += notices),
    }),
    refused: (status) => void door.refused.push(status),
  };
  const clock = new ManualClock();
  // Clocks of their own, which stand still: what the door's clock is told of belongs to the exchanges.
  const upstream = new SocketClient(new ManualClock());
  const frontDoor = new FrontDoor({
    store,
    router: new Router({ states, random: () => 0 }),
    upstream,
    feedback: { report: (slot, outcome) => void door.outcomes.push(`${slot} ${outcome}`) },
    telemetry,
    clock,
    log: createLog((line) => void door.logged.push(line)),
    promptSecret: 1,
    ...options.door,
    limits: { maxBody: options.maxBody ?? 1024 * 1024, maxBuffered: options.maxBuffered ?? 1024 * 1024 * 16 },
  });
  const server = createProxyServer({ maxConnections: 0, clock: new ManualClock() }, (req, res) =>
    frontDoor.handle(req, res),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const port = Number(addressOf(server).split(':')[1]);
  const close = async (): Promise<void> => {
    server.close().closeAllConnections();
    upstream.close();
    for (const engine of engines) {
      for (const socket of engine.sockets) socket.destroy();
      await engine.close();
    }
  };
  return Object.assign(door, { clock, frontDoor, server, port, engines, states, store, close });
}

export function tableOf(addresses: readonly string[], options: DoorOptions = {}): RoutingTable {
  const endpoints = addresses.map((address, slot) => endpoint(slot, { address, labels: options.labels?.[slot] ?? {} }));
  const served = group({ models: ['m'], endpoints, ...options.group });
  const routed = policy({
    match: { models: ['m'], headers: [] },
    backends: [backend({ group: served, ...options.backend })],
    profile: new SchedulingProfile({ ...inOrder, ...options.profile }),
    retries: { attempts: 2, on: [], budget: { percent: 100, minPerSecond: 100 } },
    ...options.policy,
  });
  return new RoutingTable(1, [routed, ...(options.policies ?? [])], new Map([[served.key, served]]));
}

/** What a client got; `cut` where the connection broke before the answer's proper end. */
export interface Got {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  readonly cut: boolean;
}

export interface Asked {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Asks for a chat completion, unless told otherwise, on a connection of its own. */
export function ask(door: Door, body: unknown = { model: 'm' }, asked: Asked = {}): Promise<Got> {
  return open(door, body, asked).got;
}

/** The same, with what is needed to leave early or read late. */
export function open(door: Door, body: unknown = { model: 'm' }, asked: Asked = {}) {
  const { method = 'POST', path = '/v1/chat/completions', headers = {} } = asked;
  const request = httpRequest({ host: '127.0.0.1', port: door.port, method, path, headers, agent: false });
  const response = new Promise<IncomingMessage>((resolve, reject) => {
    request.on('response', resolve);
    request.on('error', reject);
  });
  const got = response.then(read);
  // A test that leaves early does not ask for what it would have got.
  got.catch(() => undefined);
  request.end(body === null ? undefined : typeof body === 'string' ? body : JSON.stringify(body));
  return { request, response, got };
}

async function read(response: IncomingMessage): Promise<Got> {
  let text = '';
  let cut = false;
  response.setEncoding('utf8').on('data', (piece: string) => (text += piece));
  response.on('error', () => (cut = true));
  await new Promise((resolve) => response.on('close', resolve));
  return { status: response.statusCode ?? 0, headers: response.headers, text, cut: cut || !response.complete };
}

export function errorOf({ text }: Got): { code: string; message: string; param: string | null; type: string } {
  const { error } = JSON.parse(text) as {
    error: { code: string; message: string; param: string | null; type: string };
  };
  return error;
}

/** Sends bytes as they are and gives back all that comes until the connection ends. */
export async function raw(door: Door, bytes: string): Promise<string> {
  const socket = connect(door.port, '127.0.0.1');
  let text = '';
  socket.setEncoding('latin1').on('data', (piece: string) => (text += piece));
  socket.on('error', () => undefined);
  socket.write(bytes);
  await new Promise((resolve) => socket.on('close', resolve));
  return text;
}

/** Turns the event loop until something holds; the test's own time limit ends what never does. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

/** Whole answers of an engine. */
export const json =
  (status: number, body: unknown, more = ''): Answerer =>
  (socket) =>
    respond(socket, status, JSON.stringify(body), `content-type: application/json\r\n${more}`);

export function respond(socket: Socket, status: number, body: string, headers = ''): void {
  socket.write(`HTTP/1.1 ${status} X\r\n${headers}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}

export const streamHead = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n';
export const chunk = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
export const lastChunk = '0\r\n\r\n';

/** An engine's stream: the events, then the end. */
export const events =
  (...texts: string[]): Answerer =>
  (socket) =>
    void socket.write(streamHead + texts.map((text) => chunk(`data: ${text}\n\n`)).join('') + lastChunk);

/** Breaks the connection before a byte of an answer. */
export const reset: Answerer = (socket) => void socket.destroy();

/** Never answers. */
export const silent: Answerer = () => undefined;

/** Nothing is held any more: what every test may end with. */
export function books(door: Door): Record<string, number> {
  const { states, frontDoor } = door;
  const sum = (values: ArrayLike<number>): number =>
    Array.from(values).reduce((total, one) => total + Math.abs(one), 0);
  return {
    inFlight: sum(states.inFlight),
    ownWaiting: sum(states.ownWaiting),
    unseenWaiting: sum(states.unseenWaiting),
    newWaiting: sum(states.newWaiting),
    queuedTokens: sum(states.queuedTokens),
    held: frontDoor.bodies.held,
    active: frontDoor.inFlight,
    unfinished: door.started - door.finished.length,
    timers: door.clock.pending,
  };
}

export const emptyBooks = {
  inFlight: 0, ownWaiting: 0, unseenWaiting: 0, newWaiting: 0, queuedTokens: 0, held: 0, active: 0, unfinished: 0, timers: 0,
}; // prettier-ignore
