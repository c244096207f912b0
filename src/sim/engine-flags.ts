import { parseArgs } from 'node:util';
import { UsageError } from './command-io.ts';
import { positive, whole } from './flag-values.ts';
import { FaultError, parseFaultFlag, type Fault } from './faults.ts';
import type { SimEngineOptions } from './server.ts';
import { kvTransfer } from './transfer-flags.ts';
import { defaultServiceModel, type ServiceModel } from './service-model.ts';

export const engineHelp = `Usage: hermes-router sim-engine [flags]

A simulated vLLM: OpenAI API, /metrics, KV events, continuous batching, a finite prefix cache, failures on demand.

  --listen HOST:PORT       where to serve (default 127.0.0.1:9001; port 0 picks one); repeated: one engine each
  --model NAME             model name (default sim-model); repeated: further names of it
  --lora NAME              a LoRA adapter of it; may be repeated
  --speed-up N             engine seconds in one second of wall time (default 1)
  --kv-tokens N, --block-size N     size of the KV cache and of a block, in tokens (524288, 16)
  --max-running N, --chunk N        requests in the batch, tokens that one step computes, at most (256, 2048)
  --prefill-rate N         prompt tokens computed a second (default 8000)
  --itl-base MS, --itl-per-request MS   inter-token time of an empty batch, and what each request adds (6, 0.35)
  --tp-size N              GPUs; the figures above are those of one (default 1)
  --max-model-len N        tokens of prompt and output together (default 131072)
  --data-parallel N        ranks with a KV cache each; rank r publishes on the ports + r (default 1)
  --kv-events ENDPOINT, --kv-replay ENDPOINT   publish KV events, replay them: tcp://127.0.0.1:5557 (port 0 picks one)
  --kv-connector KIND      hand-over between prefill and decode: nixl or shared (storage); default none
  --kv-port N, --kv-shared-folder DIR    nixl's side channel (a free port); shared's folder (memory of this process)
  --kv-lease S, --transfer-rate N    nixl: seconds that blocks wait to be read (30), tokens pulled a second (135634)
  --kv-load-failure-policy P, --ignore-aborted-request   KV that does not come: fail or recompute; notices, as vLLM
  --fault FAULT            start with a fault: hang, slow, error, unavailable, cut, garbage, lose-events, or JSON as for
                           POST /sim/fault, which also takes die, refuse, restart-events and those of the hand-over
  --api-key KEY            refuse /v1/… without this bearer token
  --help                   this text`;

/** What a command line asks for: one entry for each engine. */
export interface EngineCommand {
  readonly help: boolean;
  readonly engines: readonly SimEngineOptions[];
}

/** Reads a command line; throws UsageError. */
export function parseEngineFlags(argv: readonly string[]): EngineCommand {
  const flags = readFlags(argv);
  const listen = flags.listen ?? ['127.0.0.1:9001'];
  const shared = sharedOptions(flags);
  if (listen.length > 1 && flags['kv-port'] !== undefined)
    throw new UsageError('several engines cannot share one --kv-port: leave it out');
  if (listen.length > 1 && shared.kvEvents && !/:0$/.test(shared.kvEvents.events))
    throw new UsageError('several engines cannot share one --kv-events endpoint: give port 0');
  return { help: flags.help === true, engines: listen.map((address) => ({ ...shared, ...parseAddress(address) })) };
}

type Flags = ReturnType<typeof readFlags>;

function readFlags(argv: readonly string[]) {
  const text = { type: 'string' } as const;
  const many = { type: 'string', multiple: true } as const;
  const options = {
    listen: many,
    model: many,
    lora: many,
    'speed-up': text,
    'kv-tokens': text,
    'block-size': text,
    'max-running': text,
    'prefill-rate': text,
    chunk: text,
    'itl-base': text,
    'itl-per-request': text,
    'max-model-len': text,
    'data-parallel': text,
    'kv-events': text,
    'kv-replay': text,
    'tp-size': text,
    'kv-connector': text,
    'kv-port': text,
    'kv-shared-folder': text,
    'kv-lease': text,
    'transfer-rate': text,
    'kv-load-failure-policy': text,
    'ignore-aborted-request': { type: 'boolean' },
    fault: text,
    'api-key': text,
    help: { type: 'boolean' },
  } as const;
  try {
    return parseArgs({ args: [...argv], options }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function sharedOptions(flags: Flags): SimEngineOptions {
  if (flags['kv-replay'] !== undefined && flags['kv-events'] === undefined)
    throw new UsageError('--kv-replay needs --kv-events');
  const events = flags['kv-events'];
  const maxModelLength = flags['max-model-len'];
  return {
    models: flags.model ?? ['sim-model'],
    adapters: flags.lora ?? [],
    service: serviceModel(flags),
    speedUp: positive('--speed-up', flags['speed-up'], 1),
    ranks: whole('--data-parallel', flags['data-parallel'], 1),
    kvEvents: events === undefined ? null : { events, replay: flags['kv-replay'] ?? null },
    apiKey: flags['api-key'] ?? null,
    tpSize: whole('--tp-size', flags['tp-size'], 1),
    ...kvTransfer(flags),
    ...(maxModelLength === undefined ? {} : { maxModelLength: whole('--max-model-len', maxModelLength, 1) }),
    ...(flags.fault === undefined ? {} : { fault: startFault(flags.fault) }),
  };
}

function serviceModel(flags: Flags): ServiceModel {
  const usual = defaultServiceModel;
  return {
    ...usual,
    kvTokens: whole('--kv-tokens', flags['kv-tokens'], usual.kvTokens),
    blockSize: whole('--block-size', flags['block-size'], usual.blockSize),
    maxRunning: whole('--max-running', flags['max-running'], usual.maxRunning),
    prefillRate: positive('--prefill-rate', flags['prefill-rate'], usual.prefillRate),
    chunkTokens: whole('--chunk', flags.chunk, usual.chunkTokens),
    interTokenBase: positive('--itl-base', flags['itl-base'], usual.interTokenBase * 1000) / 1000,
    leaseSeconds: positive('--kv-lease', flags['kv-lease'], usual.leaseSeconds),
    transferSecondsPerToken: 1 / positive('--transfer-rate', flags['transfer-rate'], 1 / usual.transferSecondsPerToken),
    interTokenPerRequest:
      positive('--itl-per-request', flags['itl-per-request'], usual.interTokenPerRequest * 1000) / 1000,
  };
}

function startFault(text: string): Fault {
  try {
    const fault = parseFaultFlag(text);
    if (fault.type === 'die' || fault.type === 'refuse' || fault.type === 'restart-events')
      throw new UsageError(`--fault ${fault.type} strikes at once: send it to /sim/fault of a running engine`);
    return fault;
  } catch (error) {
    if (error instanceof FaultError) throw new UsageError(`--fault: ${error.message}`);
    throw error;
  }
}

/** `host:port`, `[v6]:port`. */
function parseAddress(text: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) throw new UsageError(`--listen must be HOST:PORT, not "${text}"`);
  return { host: match[1] ?? match[2], port };
}
