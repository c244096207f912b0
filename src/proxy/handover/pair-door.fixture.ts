import { topologyOf } from '../../../test/fixtures/pairs.ts';
import type { HandoverBy, StageTimeouts } from '../../router/pair-topology.ts';
import type { PairPicker } from '../../router/plugin.ts';
import { json, openDoor, type Door, type DoorOptions } from '../door.fixture.ts';
import type { Answerer } from '../upstream/engine.fixture.ts';

/** Engines of one group, in the order in which they are asked. */
export interface PairEngines {
  readonly prefills: readonly (Answerer | string)[];
  readonly decodes: readonly (Answerer | string)[];
  readonly leaders?: readonly (Answerer | string)[];
}

export interface PairDoorOptions extends DoorOptions {
  readonly by?: HandoverBy;
  readonly stages?: Partial<StageTimeouts>;
  readonly disaggregateAbove?: number;
}

/** Picks the first of each role of the first group. */
const inOrder: PairPicker = {
  pick: (_request, pairs) => {
    pairs.group = 0;
    pairs.prefill = pairs.prefillStarts[0];
    pairs.decode = pairs.decodeStarts[0];
    pairs.equals = 1;
  },
};

/** A front door before groups `g0`, `g1` …; slots go by group, in the order prefillers, decoders, leaders. */
export function openPairDoor(groups: readonly PairEngines[], options: PairDoorOptions = {}): Promise<Door> {
  const { by = 'Router', stages = {}, disaggregateAbove = -1 } = options;
  const engines: (Answerer | string)[] = [];
  const labels: Record<string, string>[] = [];
  groups.forEach(({ prefills, decodes, leaders = [] }, i) => {
    const add = (role: string) => (engine: Answerer | string) => {
      engines.push(engine);
      labels.push({ 'openfuyao.com/pdRole': role, 'openfuyao.com/pdGroupID': `g${i}` });
    };
    prefills.forEach(add('prefill'));
    decodes.forEach(add('decode'));
    leaders.forEach(add('leader'));
  });
  const topology = topologyOf({ handover: by, disaggregateAbove, stages: { prefill: 0, decode: 0, ...stages } });
  const pairs = {
    topology,
    groupingType: 'in-order',
    scorers: [],
    picker: inOrder,
    charges: [],
    headers: [
      { name: 'x-openfuyao-prefill-pod-address-port', side: 'prefill' as const },
      { name: 'x-openfuyao-decode-pod-address-port', side: 'decode' as const },
    ],
  };
  return openDoor(engines, {
    ...options,
    labels,
    group: { topology, ...options.group },
    profile: { pairs, ...options.profile },
  });
}

/** What a prefiller says of its blocks: big numbers, odd spacing and unknown keys must come through. */
export const params = '{"do_remote_prefill":true, "remote_block_ids":[[1,2],[3]],"seed":9223372036854775807,"x":1.0}';

/** A prefiller's answer. */
export const prefills =
  (kv: string = params): Answerer =>
  (socket) => {
    const body = `{"id":"p","choices":[{"text":"\\"kv_transfer_params\\":{}"}],"kv_transfer_params":${kv},"usage":{}}`;
    socket.write(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
  };

export const decodes = json(200, { id: 'd' });

/** The bodies that an engine has got. */
export const bodiesOf = (door: Door, engine: number): string[] =>
  door.engines[engine].requests.map((request) => request.slice(request.indexOf('\r\n\r\n') + 4));
