import { Client } from '../testkit/client.ts';
import { group, policy, type Document } from '../testkit/manifests.ts';
import { until } from '../testkit/until.ts';
import { nixl, type SharedStorage } from './connectors.ts';
import { prefilled } from './hand-over.ts';
import { RealEngine } from './real-engine.ts';
import { asks, say } from './said.ts';

const model = 'tiny';

/** A prefiller and a decoder that hand KV blocks over. */
export interface Pair {
  readonly prefiller: RealEngine;
  readonly decoder: RealEngine;
  /** Clients of the engines themselves. */
  readonly toPrefiller: Client;
  readonly toDecoder: Client;
  close(): Promise<void>;
}

/** Milliseconds for a first hand-over, in which the engines find out how to reach each other's memory. */
const firstHandOver = 120_000;

/** A pair that hands over by NIXL and has done so once; blocks that nobody reads are kept for `lease` seconds. */
export async function nixlPair(lease: number): Promise<Pair> {
  const connectors = [await nixl('kv_producer', lease), await nixl('kv_consumer', lease)];
  const pair = pairOf(await RealEngine.startAll(connectors));
  try {
    await until('the engines have found each other', () => handedOver(pair), firstHandOver);
    return pair;
  } catch (error) {
    await pair.close();
    throw error;
  }
}

/** A pair that hands over through a shared folder. */
export async function storagePair(storage: SharedStorage): Promise<Pair> {
  const connector = storage.connector();
  return pairOf(await RealEngine.startAll([connector, connector]));
}

function pairOf([prefiller, decoder]: readonly RealEngine[]): Pair {
  const clients = [prefiller, decoder].map(({ address }) => new Client(address, { headersTimeout: firstHandOver }));
  return {
    prefiller,
    decoder,
    toPrefiller: clients[0],
    toDecoder: clients[1],
    async close() {
      await Promise.all(clients.map((client) => client.close()));
      await Promise.all([prefiller, decoder].map((engine) => engine.kill()));
    },
  };
}

let warmings = 0;

/** Whether a hand-over was over before its lease was: the first one may last too long for it. */
async function handedOver({ prefiller, decoder, toPrefiller, toDecoder }: Pair): Promise<boolean> {
  const ask = asks.completion(`warming ${(warmings += 1)}`);
  const expired = () => prefiller.gauge('vllm:nixl_num_kv_expired_reqs_total');
  const before = await expired();
  await say(toDecoder, await prefilled(toPrefiller, ask), 'whole');
  return (await decoder.gauge('vllm:nixl_bytes_transferred_count')) > 0 && (await expired()) === before;
}

/** The pair as one group of a router that hands over by itself, or of a leader. */
export function pairDocuments({ prefiller, decoder }: Pair): readonly Document[] {
  const endpoint = (role: 'prefill' | 'decode', { address }: RealEngine) => ({
    name: role,
    address,
    labels: { 'openfuyao.com/pdRole': role, 'openfuyao.com/pdGroupID': 'g1' },
  });
  const endpoints = [endpoint('prefill', prefiller), endpoint('decode', decoder)];
  return [
    group(model, [], {
      models: [model],
      discovery: { type: 'Static', static: { endpoints } },
      topology: { type: 'PrefillDecode', prefillDecode: { handover: 'Router' } },
    }),
    policy(model, { strategy: { type: 'PDKVAware' } }),
  ];
}
